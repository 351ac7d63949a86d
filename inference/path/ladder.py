"""Who answers: the primary (or the ensemble, or whom the router names), else the last good model, else the simpler one, else the
engineers' rules, else the base rate.

Each row says which rung answered it and why. The rules and the base rate stand in the release, so that the whole ladder is approved
together; they give the widest interval there is, since nothing calibrated them. All requests of a loop tick climb together: one run of
a model for all of them. Where such a run fails each request is tried alone, so that one row that a model chokes on takes only itself down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from inference.metrics.catalogue import RUNGS, ServingMetrics
from inference.path.member import Member
from inference.path.model import ModelFailed
from inference.path.request import F32, PathRequest, stacked
from inference.path.router import Router, Way
from presage.package.release import Rule

ENSEMBLE = "ensemble"
FIRST = "asked first"


@dataclass(frozen=True)
class RuleRung:
    """An engineer's heuristic: `column` of the feature row above or below its bound gives `risk`."""

    id: str
    column: int
    above: float | None
    below: float | None
    risk: float

    def fires(self, row: F32) -> bool:
        """Silent where the feature is missing."""
        value = float(row[self.column])
        return (self.above is not None and value > self.above) or (self.below is not None and value < self.below)


@dataclass(frozen=True)
class Ensemble:
    """Members with their shares, which sum to 1; the risk is the mean of their calibrated risks."""

    shares: Sequence[tuple[Member, float]]


class Ladder:
    """rungs: role → who answers it, in order. default: the risk when nothing else answers."""

    def __init__(
        self, rungs: Mapping[str, Member | Ensemble], router: Router, rules: Sequence[RuleRung], default: float, metrics: ServingMetrics
    ) -> None:  # fmt: skip
        self._rungs, self._router, self._rules, self._default, self._metrics = list(rungs.items()), router, rules, default, metrics
        self._number = {rung: index for index, rung in enumerate(RUNGS)}

    async def climb(self, batch: list[PathRequest]) -> None:
        """Fill score, used, rung and because; for an ensemble and on the two lowest rungs risk, low and high too. Suspends only for
        members in other processes."""
        pending = [request for request in batch if request.x is not None]
        blind = [request for request in batch if request.x is None] if len(pending) < len(batch) else []
        if self._router and pending:
            pending = await self._routed(pending)
        for rung, who in self._rungs:
            if not pending:
                break
            if isinstance(who, Ensemble):
                pending = await self._ask_all(rung, who, pending)
            else:
                pending = await self._ask(rung, who, pending, FIRST)
        for request in (*pending, *blind):
            self._last_resort(request)
        if batch:
            self._metrics.rung.set(max(self._number[rung] for request in batch for rung in request.rung), self._metrics.model)

    async def _routed(self, batch: list[PathRequest]) -> list[PathRequest]:
        """Those that no route answered."""
        groups: dict[Way, list[PathRequest]] = {}
        left: list[PathRequest] = []
        for request in batch:
            way = self._router.way(request.context)
            (left if way is None else groups.setdefault(way, [])).append(request)
        for way, requests in groups.items():
            pending = requests
            for member in way.order():
                if pending:
                    pending = await self._ask(self._rungs[0][0], member, pending, way.named)
            left += pending
        return left

    async def _ask(self, rung: str, member: Member, requests: list[PathRequest], why: str) -> list[PathRequest]:
        """One run for all; those that the member did not answer."""
        if (away := member.away()) is not None:
            return _down(requests, away)
        try:
            scores = await member.ask(stacked(requests), max([request.deadline for request in requests]))
        except ModelFailed as failure:
            if len(requests) == 1 or failure.cause != "failed":
                return _down(requests, f"{member.id}: {failure.cause}")
            return [left for request in requests for left in await self._ask(rung, member, [request], why)]
        left, start = [], 0
        sound = _probabilities(scores)
        for request in requests:
            rows = request.rows
            part = scores if rows == len(scores) else scores[start : start + rows]
            start += rows
            if sound or _probabilities(part):
                request.score, request.used = part, member.id
                request.rung, request.because = [rung] * rows, [_reason(request, why)] * rows
            else:
                left += _down([request], f"{member.id}: its score is no probability")
        return left

    async def _ask_all(self, rung: str, ensemble: Ensemble, requests: list[PathRequest]) -> list[PathRequest]:
        """Every member that can; the shares of those that cannot go to the others."""
        rows, deadline = stacked(requests), max([request.deadline for request in requests])
        answers: list[tuple[Member, float, list[float]]] = []
        missing: list[str] = []
        for member, share in ensemble.shares:
            if (away := member.away()) is not None:
                missing.append(away)
                continue
            try:
                answers.append((member, share, await member.ask(rows, deadline)))
            except ModelFailed as failure:
                missing.append(f"{member.id}: {failure.cause}")
        left, start = [], 0
        for request in requests:
            end = start + request.rows
            parts = [(member, share, scores[start:end]) for member, share, scores in answers]
            usable = [(member, share, part) for member, share, part in parts if _probabilities(part)]
            start = end
            if not usable:
                left += _down([request], "; ".join(missing) or "ensemble: no score is a probability")
                continue
            _combine(request, usable)
            whole = len(usable) == len(ensemble.shares)
            why = _reason(request, "ensemble") if whole else f"ensemble without {'; '.join(missing) or 'a member whose score is no probability'}"
            request.used, request.rung, request.because = ENSEMBLE, [rung] * request.rows, [why] * request.rows
        return left

    def _last_resort(self, request: PathRequest) -> None:
        request.rung, request.risk, request.low, request.high, request.because = [], [], [], [], []
        why = "; ".join(request.went_down) or "no model on the ladder"
        for index in range(request.rows):
            fired = [] if request.row is None else [rule for rule in self._rules if rule.fires(request.row[index])]
            request.rung.append("rules" if fired else "default")
            request.risk.append(max((rule.risk for rule in fired), default=self._default))
            request.low.append(0.0)
            request.high.append(1.0)
            request.because.append(f"{why}; rules {', '.join(rule.id for rule in fired)}" if fired else f"{why}; no rule fired" if self._rules else why)


def _probabilities(scores: list[float]) -> bool:
    """NaN is none."""
    return not [score for score in scores if not 0.0 <= score <= 1.0]


def _down(requests: list[PathRequest], why: str) -> list[PathRequest]:
    for request in requests:
        request.went_down.append(why)
    return requests


def _reason(request: PathRequest, why: str) -> str:
    return "; ".join(request.went_down) if request.went_down else why


def _combine(request: PathRequest, usable: Sequence[tuple[Member, float, list[float]]]) -> None:
    """Scores of several members are on scales of their own; what is averaged are their calibrated risks and bounds."""
    whole = fsum(share for _, share, _ in usable)
    shares = [share / whole for _, share, _ in usable]
    intervals = [[member.calibration.one(score) for score in part] for member, _, part in usable]
    rows = range(request.rows)
    request.score = [min(1.0, fsum(share * part[row] for share, (_, _, part) in zip(shares, usable, strict=True))) for row in rows]
    request.risk, request.low, request.high = (
        [min(1.0, fsum(share * each[row][place] for share, each in zip(shares, intervals, strict=True))) for row in rows] for place in range(3)
    )


def rule_rungs(rules: Sequence[Rule], names: list[str]) -> list[RuleRung]:
    """The release's rules over these feature columns; a rule on a feature the source lacks is silent."""
    column = {name: index for index, name in enumerate(names)}
    return [RuleRung(rule.id, column[rule.feature], rule.above, rule.below, rule.risk) for rule in rules if rule.feature in column]
