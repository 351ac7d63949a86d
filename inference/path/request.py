"""The one object that travels through the path: what was asked, and what each step adds to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from presage.errors import RequestRefused
from presage.features.store import OnlineRow

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
    caller       who asked: SPIFFE id or `key:<id>`, "" unknown; caller_id: the request's own id, free text
    context      what the router chooses by (`domain`, `system_type`, …)
    arrived, deadline   perf_counter seconds; after the deadline the answer is worth nothing
    trace_id     32 hex digits, or ""
    shadow_of    the prediction that this one shadows, or ""; ticks: the event times that its rows had, where it was told
    refused      why the request ends without an answer; no later step touches it then
    online       the looked-up rows themselves
    row          f32[n, features]: the feature rows, where they are known; what rules read
    history      f32[ticks, metrics] a looked-up row: per-tick means, oldest first
    time, age    event time of each row (Unix seconds) and how old it is (s); None for given rows
    coverage     of each window, in the view's order, as float32 says it; None for given rows
    warming      `15m of 6h` where a window is less than half covered, else None
    distance     how far each row lies from the training data, None = not measured; doubts: what the guards remarked, a row
    score        what the model said, a row; None on the lower rungs
    used         id of the member that scored, "" on the lower rungs
    rung, because   which rung of the ladder answered each row, and why that one
    risk, low, high   calibrated risk and its interval, per row

    What a step adds has no value before that step: reading it earlier is an error, not an empty list.
    """

    servers: list[str] | None = None
    x: F32 | None = None
    explain: bool = False
    top: int = TOP
    endpoint: str = "infer"
    caller_id: str = ""
    caller: str = ""
    context: dict[str, str] = field(default_factory=dict)
    arrived: float = 0.0
    deadline: float = inf
    trace_id: str = ""
    shadow_of: str = ""
    ticks: list[float | None] | None = None
    refused: RequestRefused | None = None

    online: list[OnlineRow] = field(default_factory=list)
    row: F32 | None = None
    history: list[F32] = field(init=False)
    time: list[float | None] = field(init=False)
    age: list[float | None] = field(init=False)
    coverage: list[list[float] | None] = field(init=False)
    warming: list[str | None] = field(init=False)
    clipped: int = 0
    distance: list[float | None] = field(default_factory=list)
    doubts: list[list[str]] = field(default_factory=list)

    score: list[float] | None = None
    used: str = ""
    went_down: list[str] = field(default_factory=list)  # why each higher rung did not answer
    rung: list[str] = field(init=False)
    because: list[str] = field(init=False)
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
"""Adds to one request, or raises RequestRefused."""
BatchStep = Callable[[list[PathRequest]], None]
"""Adds to all requests of a loop tick; sets `refused` of those that end here."""


def stacked(requests: list[PathRequest]) -> F32:
    """x of all of them, one below the other."""
    parts = [request.x for request in requests if request.x is not None]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
