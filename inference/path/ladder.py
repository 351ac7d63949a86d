"""Who answers: the primary model, else the simpler one, else the engineers' rules, else the base rate.

Each row says which rung answered it. The rules and the base rate stand in the release, so that the whole ladder is
approved together; they give the widest interval there is, since nothing calibrated them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from inference.metrics.catalogue import RUNGS, ServingMetrics
from inference.path.model import ModelFailed
from inference.path.request import F32, PathRequest, Step
from presage.package.release import Rule

_log = structlog.get_logger("presage.path")


@dataclass(frozen=True)
class ModelRung:
    """role: `primary`, `last_good` or `simpler`; score: x → a score a row, raises ModelFailed."""

    role: str
    score: Callable[[F32], list[float]]


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


def call_ladder(models: Sequence[ModelRung], rules: Sequence[RuleRung], default: float, metrics: ServingMetrics) -> Step:
    """Fills score, member and rung; on the two lowest rungs risk, low and high too."""

    number = {rung: index for index, rung in enumerate(RUNGS)}

    def step(request: PathRequest) -> None:
        assert request.x is not None
        for index, model in enumerate(models):
            try:
                scores = model.score(request.x)
            except ModelFailed as failure:
                _log.error("a rung failed", rung=model.role, cause=str(failure))
                continue
            request.score = scores
            request.member = index
            request.rung = [model.role] * len(scores)
            metrics.rung.set(number[model.role], metrics.model)
            return
        _last_resort(request, rules, default)
        metrics.rung.set(max(number[rung] for rung in request.rung), metrics.model)

    return step


def _last_resort(request: PathRequest, rules: Sequence[RuleRung], default: float) -> None:
    request.rung, request.risk, request.low, request.high = [], [], [], []
    for index in range(request.rows):
        fired = [] if request.row is None else [rule.risk for rule in rules if rule.fires(request.row[index])]
        request.rung.append("rules" if fired else "default")
        request.risk.append(max(fired, default=default))
        request.low.append(0.0)
        request.high.append(1.0)


def rule_rungs(rules: Sequence[Rule], names: list[str]) -> list[RuleRung]:
    """The release's rules over these feature columns; a rule on a feature the source lacks is silent."""
    column = {name: index for index, name in enumerate(names)}
    return [RuleRung(rule.id, column[rule.feature], rule.above, rule.below, rule.risk) for rule in rules if rule.feature in column]
