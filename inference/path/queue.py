"""Requests on their way to the path: one batch a loop tick, and no more of them than can be answered in time.

Whatever arrives within one tick of the event loop is answered together: one run of the model, one write to the journal. Nobody waits for
a batch to fill. What waits is bounded by what was measured: a request whose turn would come too late is refused at once (503), those
first that could not be answered before their deadline anyway (504), then the newest.
"""

from collections.abc import Callable
from math import inf

from inference.metrics.catalogue import ServingMetrics
from inference.path.bounds import Bounds, Capacity
from inference.path.chain import Path
from inference.path.request import PathRequest
from presage.errors import RequestRefused

Answer = Callable[[PathRequest], None]
Soon = Callable[[Callable[[], None]], object]


def overload() -> RequestRefused:
    """What is said where the queue is full."""
    return RequestRefused(503, "overload", "More rows are waiting here than can be answered in time. Ask again shortly.", retry_after=1)


class PredictionQueue:
    """In front of one path, shared by all doors. clock: seconds, never going back; soon: schedules a call for the end of this loop tick,
    None where there is no loop: then `flush` runs what waits."""

    def __init__(self, path: Path, metrics: ServingMetrics, bounds: Bounds, clock: Callable[[], float], soon: Soon | None = None) -> None:
        self.soon = soon
        self.capacity = Capacity()
        self._path, self._metrics, self._bounds, self._clock = path, metrics, bounds, clock
        self._waiting: list[tuple[PathRequest, Answer]] = []
        self._answers: dict[int, Answer] = {}
        self._rows = 0  # waiting or being answered
        self._since = 0.0  # of members in other processes: when the last answers came, or the present ones were asked for
        self._earliest = inf  # deadline of those that wait
        self._scheduled = False
        metrics.queue_depth = lambda: self._rows

    def full(self) -> bool:
        """Whether nothing more is taken now; doors ask before they parse a body. Those that could not be answered in time anyway have made room
        by then."""
        if self._has_room():
            return False
        self._make_room()
        return not self._has_room()

    def submit(self, asked: PathRequest, done: Answer) -> None:
        """`done` is called exactly once, on the loop's thread, never before this returned: `asked.refused` is set, or the answer is
        complete and in the journal."""
        now = self._clock()
        asked.arrived = now
        asked.deadline = min(asked.deadline, now + self._bounds.deadline)
        asked.refused = overload() if self.full() else None
        if asked.refused is None:
            self._rows += asked.rows
            self._earliest = min(self._earliest, asked.deadline)
        self._waiting.append((asked, done))
        if not self._scheduled and self.soon is not None:
            self._scheduled = True
            self.soon(self.flush)

    def flush(self) -> None:
        """Answer all that wait. What is submitted meanwhile is the next tick's."""
        self._scheduled = False
        waiting, self._waiting, self._earliest = self._waiting, [], inf
        if not waiting:
            return
        now = self._clock()
        batch: list[PathRequest] = []
        refused: list[tuple[PathRequest, Answer]] = []
        for asked, done in waiting:
            if asked.refused is None and asked.deadline <= now:
                self._refuse_late(asked)
            if asked.refused is None:
                self._answers[id(asked)] = done
                batch.append(asked)
            else:
                refused.append((asked, done))
        if batch:
            rows = sum(asked.rows for asked in batch)
            self._since = now if rows == self._rows else self._since
            self._path.run(batch, self._done)
            if not self._path.remote:
                self.capacity.ran(max(1, rows), self._clock() - now)
        for asked, done in refused:
            done(asked)

    def _done(self, requests: list[PathRequest]) -> None:
        if self._path.remote and (rows := sum(request.rows for request in requests if request.refused is None)):
            now = self._clock()
            self.capacity.ran(rows, now - self._since)
            self._since = now
        for request in requests:
            answer = self._answers.pop(id(request))
            self._rows -= request.rows
            answer(request)

    def _has_room(self) -> bool:
        rows, bounds = self._rows, self._bounds
        return rows < bounds.least or (rows * self.capacity.seconds_per_row <= bounds.wait and rows <= bounds.rows)

    def _make_room(self) -> None:
        """Let go of those that could not be answered before their deadline anyway."""
        ahead = self._clock() + self._rows * self.capacity.seconds_per_row
        if self._earliest >= ahead:
            return
        for asked, _ in self._waiting:
            if asked.refused is None and asked.deadline < ahead:
                self._refuse_late(asked)

    def _refuse_late(self, asked: PathRequest) -> None:
        self._rows -= asked.rows
        asked.refused = RequestRefused(504, "deadline", "The answer would come after the deadline that the request named. Allow more time.", retry_after=1)
