"""The next step of a release, from where it stands: pure.

    start(standing, uri, rules)                   the first share, and a shadow where the tier asks for one
    advance(standing, rules, capacity, original)  what comes after a step that is good; None where there is nothing to come
    revert(standing, original)                    the canary and the shadow go; what is stable stays

Capacity comes before share: first the Pods that a share needs, and only when these are live the share. The stable predictor keeps as many as it needs
to take everything back at once: KServe subtracts a canary's replicas from its own, so its `minReplicas` are that many more for as long.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from presage.errors import InputError
from presage.governance.tiers import CanaryPlan, TierRules
from presage.release.records import StepName
from presage.release.standing import Canary, Standing


class Original(NamedTuple):
    """The stable predictor's replicas before a release began, and what the overlay itself had written of that."""

    replicas: int
    written: int | None

    @classmethod
    def of(cls, before: Mapping[str, Any]) -> "Original":
        """From the first record's `before`."""
        return cls(int(before["replicas"]), before["written"])


@dataclass(frozen=True)
class Change:
    """step: as records call it; after: where the release stands then; because: a sentence's beginning; back: whether it is the way back."""

    step: StepName
    after: Standing
    because: str
    back: bool = False


def start(standing: Standing, uri: str, rules: TierRules) -> Change:
    """Raises InputError where something is on its way already, or is there."""
    if standing.canary is not None:
        raise InputError(f"{standing.canary.uri} is on its way, at {standing.canary.percent} percent. Let it end, or take it back: presage release revert.")
    if standing.stable == uri:
        raise InputError(f"{uri} is the stable release already. Nothing is to be done.")
    first = rules.canary.steps[0]
    shadow = uri if rules.canary.shadow else None
    need = _pods(first.percent, standing.replicas)
    more = standing.replicas + need
    after = standing.changed(replicas=more, written=more, canary=Canary(uri, first.percent, need), shadow=shadow)
    return Change("start", after, f"gets {first.percent} percent of the requests")


def advance(standing: Standing, rules: TierRules, capacity: int, original: Original) -> Change | None:
    """capacity: Pods that the stable predictor has now, the canary's not counted."""
    canary = standing.canary
    if canary is None:
        return None
    if canary.percent == 100 and standing.stable == canary.uri:
        after = standing.changed(canary=None, shadow=None, written=original.written, replicas=original.replicas)
        return Change("retire", after, "is the stable release, so its canary entry goes")
    percent = following(rules.canary, canary.percent)
    if percent is None:
        return Change("promote", standing.changed(stable=canary.uri), "served every request, so the stable predictor takes it")
    capacity = max(capacity, original.replicas)
    need = _pods(percent, capacity)
    if canary.replicas < need or standing.replicas < capacity + need:
        more = max(standing.replicas, capacity + need)
        after = standing.changed(replicas=more, written=more, canary=Canary(canary.uri, canary.percent, max(need, canary.replicas)))
        return Change("prepare", after, f"gets {need} Pods before it gets {percent} percent of the requests")
    return Change("raise", standing.changed(canary=Canary(canary.uri, percent, canary.replicas)), f"gets {percent} percent of the requests")


def revert(standing: Standing, original: Original) -> Change:
    """Raises InputError where nothing is on its way."""
    if standing.canary is None and standing.shadow is None:
        raise InputError("no release is on its way, so there is nothing to take back. To go back to one that served before: presage release rollback.")
    after = standing.changed(canary=None, shadow=None, written=original.written, replicas=original.replicas)
    return Change("revert", after, "is taken back", back=True)


def rollback(standing: Standing, uri: str, original: Original) -> Change:
    """The stable predictor goes back to a release that served before, and whatever is on its way goes."""
    if standing.stable == uri and standing.canary is None:
        raise InputError(f"{uri} is the stable release already. Nothing is to be done.")
    after = standing.changed(stable=uri, canary=None, shadow=None, written=original.written, replicas=original.replicas)
    return Change("rollback", after, "serves every request again", back=True)


def green(standing: Standing, uri: str, capacity: int) -> Change:
    """Blue-green: the other release at full capacity and without a single request, so that one commit can give it all of them."""
    if standing.canary is not None:
        raise InputError(f"{standing.canary.uri} is on its way, at {standing.canary.percent} percent. Let it end, or take it back: presage release revert.")
    if standing.stable == uri:
        raise InputError(f"{uri} is the stable release already. Nothing is to be done.")
    pods = max(capacity, standing.replicas)
    after = standing.changed(replicas=2 * pods, written=2 * pods, canary=Canary(uri, 0, pods))
    return Change("start", after, "is brought up beside the stable release, without requests")


def switch(standing: Standing, *, back: bool = False) -> Change:
    """All requests at once to the release beside the stable one, or all of them back. Raises InputError where there is none beside it."""
    if standing.canary is None:
        raise InputError("no release stands beside the stable one. Bring it up first: presage release switch NAME:VERSION.")
    percent = 0 if back else 100
    if standing.canary.percent == percent:
        raise InputError(f"{standing.canary.uri} has {percent} percent of the requests already. Nothing is to be done.")
    whom = "the stable release gets every request again" if back else "gets every request at once"
    return Change("switch", standing.changed(canary=Canary(standing.canary.uri, percent, standing.canary.replicas)), whom, back=back)


def following(plan: CanaryPlan, percent: int) -> int | None:
    """The share after `percent`; None after the last."""
    return next((step.percent for step in plan.steps if step.percent > percent), None)


def _pods(percent: int, capacity: int) -> int:
    return max(1, ceil(capacity * percent / 100))
