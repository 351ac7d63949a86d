"""What was counted of an arm between two looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Buckets = Mapping[float, float]
"""Upper bound → how many lay at or below it, as Prometheus has it; the last bound is infinite."""
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Arm:
    """requests: answered, of which `failed` by a server's fault or by a lower rung; seconds: durations; risks: one a row; decided: of earlier
    answers, those whose outcome became known, and of these `wrong`."""

    requests: int = 0
    failed: int = 0
    seconds: Buckets = field(default_factory=dict)
    risks: Buckets = field(default_factory=dict)
    decided: int = 0
    wrong: int = 0


@dataclass(frozen=True)
class Increment:
    """Both arms over the same span of time: what changes for both (a day's cycle, another caller) is then no difference between them."""

    stable: Arm
    canary: Arm


def per_bucket(buckets: Buckets, bounds: list[float]) -> Counts:
    """How many lay in each bucket of `bounds`, from cumulative counts; torn ones (a scrape between two writes) never count below 0."""
    cumulative = np.array([buckets.get(bound, 0.0) for bound in bounds])
    return np.maximum(np.diff(np.maximum.accumulate(cumulative), prepend=0.0), 0.0).astype(np.int64)


def bounds_of(*buckets: Buckets) -> list[float]:
    """The bounds of all, rising."""
    return sorted({bound for one in buckets for bound in one})
