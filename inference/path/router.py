"""Which member answers first: by what the request says of itself (domain, system type), or by how members have been doing.

Routes stand in the release, so which model answers whom was approved with the models. The first route that fits decides; a request that
fits none is the primary's (or the ensemble's).
"""

from collections.abc import Mapping, Sequence

from inference.path.member import Member
from presage.package.release import Route

_EXPLORE = 32
"""Every so many batches the members that are not preferred are asked in turn, or nobody would ever know that they got better."""
_BETTER = 0.8
"""Another member takes over when its cost is below this share of the present one's, so that noise does not switch them."""


class ByPerformance:
    """The order in which members of one route are asked, the one that does best first."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = list(members)
        self._batches = 0

    def order(self) -> list[Member]:
        first, *others = self._members
        best = min(others, key=lambda member: member.standing.cost, default=first)
        if best.standing.cost < _BETTER * first.standing.cost:
            self._members = [best, *(member for member in self._members if member is not best)]
        self._batches += 1
        if self._batches % _EXPLORE:
            return self._members
        turn = 1 + (self._batches // _EXPLORE) % (len(self._members) - 1) if len(self._members) > 1 else 0
        return [self._members[turn], *(member for member in self._members if member is not self._members[turn])]


class Way:
    """One route with its members. named: how an answer says that it was taken."""

    def __init__(self, route: Route, members: Mapping[str, Member]) -> None:
        self._when = {key: frozenset(values) for key, values in route.when.items()}
        self._fixed = [members[id] for id in route.use]
        self._ranked = ByPerformance(self._fixed) if route.prefer == "performance" else None
        self.named = "routed by " + ", ".join(f"{key} {'/'.join(values)}" for key, values in route.when.items())

    def fits(self, context: Mapping[str, str]) -> bool:
        return all(context.get(key) in values for key, values in self._when.items())

    def order(self) -> list[Member]:
        return self._fixed if self._ranked is None else self._ranked.order()


class Router:
    """The release's table."""

    def __init__(self, routes: Sequence[Route], members: Mapping[str, Member]) -> None:
        self._ways = [Way(route, members) for route in routes]

    def __bool__(self) -> bool:
        return bool(self._ways)

    def way(self, context: Mapping[str, str]) -> Way | None:
        return next((way for way in self._ways if way.fits(context)), None)
