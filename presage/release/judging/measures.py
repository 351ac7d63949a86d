"""What is compared, and the two claims about each that are bet against: that the canary is no worse (winning: revert), and that it is worse by the detectable
size (winning: it is not).

    errors     share of requests that failed: how much more of them
    latency    share of requests slower than a bound that the stable arm's own durations choose; the detectable size is what that share rises by where every
               duration is so many times as long, and longer by so much at least. A rise of two in a hundred is no worsening yet: whoever is asked less
               has colder caches
    scores     the risks' distribution: at each bound the shares below it, either way; the largest is the Kolmogorov–Smirnov distance over these bounds
    outcomes   share of decisions that turned out wrong: how much more of them
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from presage.governance.tiers import Detect
from presage.release.judging.counted import Buckets, Increment, bounds_of, per_bucket
from presage.release.judging.pairs import differences
from presage.release.judging.wealth import Wealth

Name = Literal["errors", "latency", "scores", "outcomes"]
NAMES: tuple[Name, ...] = ("errors", "latency", "scores", "outcomes")
CHOOSE_FROM = 500
"""Durations of the stable arm that the bound of `latency` is chosen by. They are not tested."""
_LEAST_RISE = 0.03
"""A bound at which so many times the duration makes a smaller difference tells nothing."""
_TOLERATED = 0.02
"""Of all requests, so many more may be slow: what a share of five percent does to a Pod's caches is no fault of its release."""
_CAUTION = 0.9
"""Between two bounds a histogram knows nothing; what is read off there is believed to nine tenths."""


@dataclass
class Measure:
    """One comparison. size: the rise that must not be missed, in shares, once it is known. both: whether a fall counts as much as a rise.

    worse, alike: bets against "no worse" and against "worse by `size`", a column a boundary (and direction). reference: the share that an arm without
    another beside it is held against: "worse by more than `size`" is bet on then, and nothing else.
    """

    name: Name
    size: float
    both: bool = False
    bounds: list[float] = field(default_factory=list)
    worse: Wealth | None = None
    alike: Wealth | None = None
    pairs: int = 0
    stable: list[float] = field(default_factory=lambda: [0.0, 0.0])
    canary: list[float] = field(default_factory=lambda: [0.0, 0.0])
    reference: float | None = None

    def bet(self, values: NDArray[np.float64]) -> None:
        """values: float[pairs, boundaries], how much more of the canary's lies where it is worse."""
        if not len(values):
            return
        columns = np.hstack([values, -values]) if self.both else values
        if self.worse is None or self.alike is None:
            self.worse = Wealth(np.full(columns.shape[1], self.tolerated))
            self.alike = Wealth(np.full(columns.shape[1], -self.size))
        self.worse.bet(columns)
        self.alike.bet(-columns)
        self.pairs += len(values)

    @property
    def tolerated(self) -> float:
        """The rise that is called no worse."""
        return min(_TOLERATED, self.size / 4) if self.name == "latency" else 0.0

    def bet_alone(self, every: int, bad: int) -> None:
        """One arm's values, held against the reference."""
        if self.reference is None or every == 0:
            return
        self.worse = self.worse or Wealth(np.array([min(0.99, self.reference + self.size)]))
        self.worse.bet(np.repeat([[1.0], [0.0]], [bad, every - bad], axis=0))
        self.pairs += every

    def log_worse(self) -> float:
        """How much a bet on "worse" has won (natural logarithm): over all boundaries, the money spread evenly."""
        if self.worse is None:
            return 0.0
        logs = self.worse.log()
        highest = float(logs.max())
        return highest + math.log(float(np.exp(logs - highest).mean()))

    def log_alike(self) -> float:
        """How much a bet against "worse by the detectable size" has won, at the boundary where it has won least."""
        return 0.0 if self.alike is None else float(self.alike.log().min())

    def to_json(self) -> dict[str, Any]:
        return {
            "size": self.size, "both": self.both, "bounds": [_text(bound) for bound in self.bounds], "pairs": self.pairs, "stable": self.stable,
            "canary": self.canary, "reference": self.reference, "worse": None if self.worse is None else self.worse.to_list(),
            "alike": None if self.alike is None else self.alike.to_list(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, name: Name, document: dict[str, Any]) -> "Measure":
        made = cls(
            name, float(document["size"]), bool(document["both"]), [float(bound) for bound in document["bounds"]], pairs=int(document["pairs"]),
            stable=list(document["stable"]), canary=list(document["canary"]), reference=document["reference"],
        )  # fmt: skip
        if document["worse"] is not None:
            columns = len(document["worse"])
            at_most = made.tolerated if made.reference is None else min(0.99, made.reference + made.size)
            made.worse = Wealth.from_list(np.full(columns, at_most), document["worse"])
        if document["alike"] is not None:
            made.alike = Wealth.from_list(np.full(columns, -made.size), document["alike"])
        return made


@dataclass
class Comparison:
    """All measures of one step. ratio, by: how many times, and by how many seconds at least, durations are longer in what must not be missed.
    waiting: durations of the stable arm until the bound of `latency` is chosen."""

    measures: dict[Name, Measure]
    ratio: float
    by: float
    waiting: dict[float, float] = field(default_factory=dict)
    looks: int = 0
    said: str = ""

    @classmethod
    def of(cls, detect: Detect) -> "Comparison":
        sizes: dict[Name, float] = {"errors": detect.errors, "latency": 0.0, "scores": detect.scores, "outcomes": detect.outcomes}
        return cls({name: Measure(name, sizes[name], both=name == "scores") for name in NAMES}, detect.latency, detect.latency_by.total_seconds())

    @classmethod
    def alone(cls, detect: Detect, before: "Comparison") -> "Comparison":
        """For a canary that has every request: it is held against what it did itself in the step before, which was found good."""
        made = cls.of(detect)
        for name in ("errors", "latency", "outcomes"):
            measure, known = made.measures[name], before.measures[name]
            measure.bounds, measure.size = list(known.bounds), known.size if name == "latency" else measure.size
            measure.reference = known.canary[1] / known.canary[0] if known.canary[0] else None
        return made

    @property
    def is_alone(self) -> bool:
        return any(measure.reference is not None for measure in self.measures.values())

    def add(self, increment: Increment) -> None:
        """Bet on everything that an increment says."""
        self.looks += 1
        if self.is_alone:
            self._add_alone(increment)
            return
        stable, canary = increment.stable, increment.canary
        self._shares("errors", (stable.requests, stable.failed), (canary.requests, canary.failed))
        self._shares("outcomes", (stable.decided, stable.wrong), (canary.decided, canary.wrong))
        self._latency(increment)
        self._scores(increment)

    def _add_alone(self, increment: Increment) -> None:
        canary = increment.canary
        counted: dict[Name, tuple[int, int]] = {"errors": (canary.requests, canary.failed), "outcomes": (canary.decided, canary.wrong)}
        if (bounds := self.measures["latency"].bounds) and canary.seconds:
            total = int(max(canary.seconds.values()))
            counted["latency"] = (total, total - int(canary.seconds.get(bounds[0], total)))
        for name, (every, bad) in counted.items():
            measure = self.measures[name]
            measure.bet_alone(every, min(bad, every))
            measure.canary[0] += every
            measure.canary[1] += bad

    def _shares(self, name: Name, stable: tuple[int, int], canary: tuple[int, int]) -> None:
        measure = self.measures[name]
        counted = [np.array([min(bad, every), every - min(bad, every)]) for every, bad in (stable, canary)]
        measure.bet(differences(counted[0], counted[1], self._seed(name)))
        _tally(measure, counted[0], counted[1], 0)

    def _latency(self, increment: Increment) -> None:
        measure = self.measures["latency"]
        stable, canary = increment.stable.seconds, increment.canary.seconds
        if not measure.bounds:
            for bound, count in stable.items():
                self.waiting[bound] = self.waiting.get(bound, 0.0) + count
            if max(self.waiting.values(), default=0.0) >= CHOOSE_FROM:
                bound, rise = choose_bound(self.waiting, self.ratio, self.by)
                measure.bounds, measure.size = [bound], rise * _CAUTION
                self.said = "" if rise >= _LEAST_RISE else f"durations lie in one bucket: a worsening would move {rise:.1%} of them only"
            return
        bound = measure.bounds[0]
        counted = []
        for buckets in (stable, canary):
            total = max(buckets.values(), default=0.0)
            counted.append(np.array([int(total - buckets.get(bound, total)), int(buckets.get(bound, total))]))
        measure.bet(differences(counted[0], counted[1], self._seed("latency")))
        _tally(measure, counted[0], counted[1], 0)

    def _scores(self, increment: Increment) -> None:
        measure = self.measures["scores"]
        stable, canary = increment.stable.risks, increment.canary.risks
        if not measure.bounds:
            measure.bounds = bounds_of(stable, canary)
        if len(measure.bounds) < 2:
            return
        counted = per_bucket(stable, measure.bounds), per_bucket(canary, measure.bounds)
        measure.bet(differences(counted[0], counted[1], self._seed("scores")))

    def tells(self, name: Name) -> bool:
        """Whether a measure has anything to go by: outcomes may not be known yet, durations may all lie in one bucket, nothing may stand beside."""
        measure = self.measures[name]
        if self.is_alone:
            return False
        if name == "outcomes":
            return measure.pairs > 0
        return name != "latency" or not measure.bounds or measure.size >= _LEAST_RISE * _CAUTION

    def _seed(self, name: Name) -> tuple[int, ...]:
        return (self.looks, NAMES.index(name))

    def to_json(self) -> dict[str, Any]:
        return {
            "measures": {name: measure.to_json() for name, measure in self.measures.items()}, "ratio": self.ratio, "by": self.by, "looks": self.looks,
            "said": self.said, "waiting": {_text(bound): count for bound, count in self.waiting.items()},
        }  # fmt: skip

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Comparison":
        measures = {name: Measure.from_json(name, document["measures"][name]) for name in NAMES}
        waiting = {float(bound): float(count) for bound, count in document["waiting"].items()}
        return cls(measures, float(document["ratio"]), float(document["by"]), waiting, int(document["looks"]), str(document["said"]))


def choose_bound(seconds: Buckets, ratio: float, by: float) -> tuple[float, float]:
    """The bound at which durations that are `ratio` times as long, and `by` seconds longer at least, show best; by how much the share above it rises then.

    Between two bounds the logarithm of a duration is taken to be spread evenly.
    """
    bounds = [bound for bound in bounds_of(seconds) if math.isfinite(bound)]
    total = max(seconds.values(), default=0.0)
    best = (bounds[-1] if bounds else math.inf, 0.0)
    shown = 0.0
    for bound in bounds:
        above, above_then = 1.0 - seconds[bound] / total, 1.0 - _share_below(seconds, bounds, min(bound / ratio, bound - by)) / total
        rise = above_then - above
        spread = math.sqrt(max(above * (1 - above), above_then * (1 - above_then), 1e-4))
        if rise / spread > shown:
            best, shown = (bound, rise), rise / spread
    return best


def _share_below(seconds: Buckets, bounds: list[float], value: float) -> float:
    """How many lie below `value`, between two bounds by the logarithm."""
    if value <= 0:
        return 0.0
    lower = max((bound for bound in bounds if bound <= value), default=None)
    upper = min(bound for bound in bounds if bound > value) if any(bound > value for bound in bounds) else None
    if upper is None:
        return float(seconds[bounds[-1]])
    if lower is None:
        return float(seconds[upper]) * max(0.0, 1.0 - math.log(upper / value) / math.log(10))
    within = math.log(value / lower) / math.log(upper / lower)
    return float(seconds[lower] + within * (seconds[upper] - seconds[lower]))


def _tally(measure: Measure, stable: NDArray[np.int64], canary: NDArray[np.int64], worse: int) -> None:
    for kept, found in ((measure.stable, stable), (measure.canary, canary)):
        kept[0] += float(found.sum())
        kept[1] += float(found[worse])


def _text(bound: float) -> str:
    return repr(bound)
