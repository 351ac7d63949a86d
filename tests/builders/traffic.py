"""Simulated traffic of two arms, as a judge counts it: failures, durations (log-normal), risks (beta), outcomes, on a clock of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from scipy import stats

from presage.governance.tiers import CanaryPlan, Detect
from presage.release.judging import Arm, Increment, Judge, Verdict

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, float("inf"))
RISKS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, float("inf"))
BEGAN = datetime(2026, 11, 25, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Behaviour:
    """failed, wrong: shares; median: of durations, seconds, of which each is then `times` as long and `by` longer at least; risks: shape of their beta
    distribution; mixed: share of risks that come from 0.5 to 1 evenly instead, which moves the distribution by just so much (Kolmogorov–Smirnov) times what
    lies below 0.5."""

    failed: float = 0.001
    median: float = 0.004
    spread: float = 0.6
    times: float = 1.0
    by: float = 0.0
    risks: tuple[float, float] = (0.6, 6.0)
    mixed: float = 0.0
    wrong: float = 0.1

    def cumulative(self) -> tuple[np.ndarray, np.ndarray]:
        """(shares of durations, shares of risks) at or below each bound."""
        seconds = stats.lognorm(self.spread, scale=self.median).cdf(np.minimum(np.array(SECONDS) / self.times, np.array(SECONDS) - self.by))
        risks = (1 - self.mixed) * stats.beta(*self.risks).cdf(np.minimum(RISKS, 1.0)) + self.mixed * np.clip((np.minimum(RISKS, 1.0) - 0.5) / 0.5, 0, 1)
        return seconds, risks


def worse(detect: Detect, name: str, times: float = 1.0) -> Behaviour:
    """A release that is worse in one measure, by `times` its detectable size."""
    good = Behaviour()
    if name == "errors":
        return replace(good, failed=good.failed + times * detect.errors)
    if name == "outcomes":
        return replace(good, wrong=good.wrong + times * detect.outcomes)
    if name == "latency":
        return replace(good, times=1 + times * (detect.latency - 1), by=times * detect.latency_by.total_seconds())
    below = float(stats.beta(*good.risks).cdf(0.5))
    return replace(good, mixed=times * detect.scores / below)


@dataclass
class Traffic:
    """rate: requests a second of both arms; known: share of decisions whose outcome becomes known; cycle: how much failures and durations swing with a
    period of an hour, for both arms alike."""

    stable: Behaviour
    canary: Behaviour
    seed: int
    rate: float = 50.0
    every: float = 30.0
    known: float = 0.5
    cycle: float = 0.0
    _shares: dict[Behaviour, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.seed)

    def increments(self, percent: int, start: datetime) -> Iterator[tuple[Increment, datetime]]:
        now = start
        while True:
            now += timedelta(seconds=self.every)
            swing = 1 + self.cycle * np.sin(2 * np.pi * (now - BEGAN).total_seconds() / 3600)
            total = self.generator.poisson(self.rate * self.every * swing)
            ours = self.generator.binomial(total, percent / 100)
            yield Increment(self._arm(self.stable, total - ours, swing), self._arm(self.canary, ours, swing)), now

    def _arm(self, behaviour: Behaviour, requests: int, swing: float) -> Arm:
        if swing != 1:
            behaviour = replace(behaviour, failed=min(1.0, behaviour.failed * swing), median=behaviour.median * round(swing, 2))
        shares = self._shares.setdefault(behaviour, behaviour.cumulative())
        draw, counted = self.generator, []
        for cumulative in shares:
            counted.append(np.cumsum(draw.multinomial(requests, np.diff(cumulative, prepend=0.0) / cumulative[-1])))
        decided = draw.binomial(requests, self.known)
        return Arm(
            requests, int(draw.binomial(requests, behaviour.failed)), dict(zip(SECONDS, counted[0].tolist(), strict=True)),
            dict(zip(RISKS, counted[1].tolist(), strict=True)), int(decided), int(draw.binomial(decided, behaviour.wrong)),
        )  # fmt: skip


def judged(plan: CanaryPlan, traffic: Traffic) -> tuple[str, int, Verdict]:
    """A whole release: (good or revert, answers that the canary gave, the last verdict). The last step has no stable traffic left and is not judged so."""
    now, touched = BEGAN, 0
    for step in plan.steps:
        if step.percent == 100:
            break
        judge = Judge.start(plan, soak=step.soak, now=now)
        verdict = Verdict("go on", "")
        for increment, moment in traffic.increments(step.percent, now):
            now = moment
            verdict = judge.observe(increment, now)
            if verdict.kind != "go on":
                break
        touched += judge.touched
        if verdict.kind == "revert":
            return "revert", touched, verdict
    return "good", touched, verdict
