"""The one object that travels through the path: what was asked, and what each step adds to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
TOP, MOST_REASONS = 3, 32
"""Reasons a row: what is answered and recorded unless the caller asks for others, and the most there are to have."""


class Reason(NamedTuple):
    """What pushed the score most: value null = not seen; contribution in the margin's unit (log-odds or probability); metric:
    what the feature is about, for a detector score the metric that carries it (null: several, none, or not known)."""

    feature: str
    value: float | None
    contribution: float
    metric: str | None


@dataclass(slots=True)
class PathRequest:
    """n rows, asked for in one of two ways: `servers` (rows looked up) or `x` (rows given by the caller).

    x            f32[n, inputs] or f32[n, history, inputs]; NaN = missing
    explain      whether the caller wants reasons; top: at most how many a row
    row          f32[n, features]: the feature rows, where they are known; what rules read
    history      f32[ticks, metrics] a looked-up row: per-tick means, oldest first
    time, age    event time of each row (Unix seconds) and how old it is (s); None for given rows
    coverage     of each window, in the view's order; None for given rows
    warming      `15m of 6h` where a window is less than half covered, else None
    score        what the model said, a row; None on the lower rungs
    rung         which rung of the ladder answered each row
    risk, low, high   calibrated risk and its interval, per row

    What a step adds has no value before that step: reading it earlier is an error, not an empty list.
    """

    servers: list[str] | None = None
    x: F32 | None = None
    explain: bool = False
    top: int = TOP
    endpoint: str = "infer"
    caller_id: str = ""

    row: F32 | None = None
    history: list[F32] = field(init=False)
    time: list[float | None] = field(init=False)
    age: list[float | None] = field(init=False)
    coverage: list[list[float] | None] = field(init=False)
    warming: list[str | None] = field(init=False)
    clipped: int = 0

    score: list[float] | None = None
    member: int = 0
    rung: list[str] = field(init=False)
    risk: list[float] = field(init=False)
    low: list[float] = field(init=False)
    high: list[float] = field(init=False)
    tier: list[str] = field(init=False)
    reasons: list[list[Reason]] = field(init=False)
    prediction_id: str = ""
    wall: float = 0.0

    @property
    def rows(self) -> int:
        """How many predictions this request asks for."""
        return len(self.servers) if self.servers is not None else 0 if self.x is None else len(self.x)

    def row_id(self, index: int) -> str:
        """The prediction's own name: the request's, and the row's place in it."""
        return f"{self.prediction_id}-{index}"


Step = Callable[[PathRequest], None]
