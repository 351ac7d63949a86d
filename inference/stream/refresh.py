"""The consumer: readings from the log into a buffer, and at each tick the feature engine over that buffer.

The watermark is the stream's clock less the allowed lateness, and never ahead of what a source that is still catching up
has delivered. A tick is applied once, when the watermark has passed it; a reading for an applied tick that comes later is
counted and kept in the log, and not applied.
"""

import math
import time as wall_time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from inference.stream.buffer import ReadingBuffer
from inference.stream.metrics import StreamMetrics
from inference.stream.ticks import AppliedTicks
from presage.events.log import Event, EventLog
from presage.features.declaration import BoundView
from presage.features.online import online_rows, unseen_rows
from presage.features.store import OnlineRow, OnlineStore
from presage.features.windows import compute
from presage.telemetry.clock import StreamClock
from presage.telemetry.schema import Reading

GROUP = "features"
_IDLE = 1.0  # wall seconds without a reading after which a source counts as caught up
_PATIENCE = 5.0  # wall seconds after which rows are written even while a source never catches up


class FeatureRefresh:
    """One feature service's refresh. Use from one thread; `wall` gives Unix seconds; publish: is given the rows of each tick, as they were stored.

    applied: the newest applied tick, None before the first. rows: how many rows it wrote.
    """

    def __init__(
        self,
        bound: BoundView,
        period: timedelta,
        clock: StreamClock,
        *,
        log: EventLog,
        ticks: AppliedTicks,
        store: OnlineStore,
        service: str,
        metrics: StreamMetrics,
        lateness: float,
        publish: Callable[[Sequence[OnlineRow]], None] = lambda rows: None,
        wall: Callable[[], float] = wall_time.time,
    ) -> None:
        self.bound, self.period, self.clock = bound, period, clock
        self._log, self._ticks, self._store, self._service, self._metrics = log, ticks, store, service, metrics
        self._lateness, self._wall, self._publish = lateness, wall, publish
        self._buffer = ReadingBuffer(bound.metrics)
        self._decode = msgspec.msgpack.Decoder(Reading).decode
        self._next = {partition: first for partition, (first, _) in log.bounds().items()}
        self._kept: dict[int, deque[tuple[int, datetime]]] = {partition: deque() for partition in self._next}
        self._progress = -math.inf  # newest event time consumed, Unix seconds
        self._first_heard = self._last_heard = math.inf  # wall seconds
        self._caught_up = False
        self.applied = ticks.last
        self.rows = 0

    def replay(self) -> int:
        """Rebuild the buffer from the log, each reading with the outcome it had. Returns how many are held; counts nothing."""
        for event in self._read_until(self._log.committed(GROUP)):
            self._take(event, self._ticks.before(event.partition, event.offset))
        return len(self._buffer)

    def step(self) -> float:
        """Consume what the log has and apply the tick that is due, if any. Returns wall seconds until the next could be."""
        self._consume()
        wall = self._wall()
        due = self._due(wall)
        if due is not None:
            self.apply(due)
        tick = self.bound.view.tick.total_seconds()
        following = (self.applied.timestamp() if self.applied else self.clock.now(wall) // tick * tick) + tick
        return max(0.0, self.clock.wall(following) + self._lateness - self._wall())

    def _consume(self) -> None:
        # Up to one consistent cut of all partitions: a batch is appended whole, so no partition's progress runs ahead of another's.
        started, before = wall_time.perf_counter(), dict(self._next)
        for event in self._read_until({partition: following for partition, (_, following) in self._log.bounds().items()}):
            self._metrics.count(self._take(event, self.applied))
        if self._next != before:
            self._last_heard = self._wall()
            self._first_heard = min(self._first_heard, self._last_heard)
            self._metrics.stages["apply"].observe(wall_time.perf_counter() - started)

    def _read_until(self, ends: Mapping[int, int]) -> Iterator[Event]:
        """Every event from where we are up to these offsets, partition by partition."""
        for partition, end in ends.items():
            while self._next[partition] < end:
                events = self._log.read(partition, self._next[partition], limit=min(5000, end - self._next[partition]))
                if not events:  # trimmed by somebody else
                    break
                yield from events
                self._next[partition] = events[-1].offset + 1

    def _take(self, event: Event, applied: datetime | None) -> str:
        """Put one event into the buffer, unless it is late, known or unreadable. Returns its outcome."""
        try:
            reading = self._decode(event.value)
        except msgspec.MsgspecError:
            return "dead_letter"
        if reading.time.tzinfo is None or reading.values.keys().isdisjoint(self.bound.metrics):
            return "dead_letter"
        if reading.time.timestamp() > self.clock.now(self._wall()) + self.bound.view.tick.total_seconds():
            return "dead_letter"  # a clock that is ahead: it would drag the watermark along
        self._kept[event.partition].append((event.offset, reading.time))
        if self._buffer.holds(reading):
            return "duplicate"
        if applied is not None and reading.time <= applied:
            return "late"
        self._progress = max(self._progress, reading.time.timestamp())
        self._buffer.add(reading)
        return "applied"

    def _due(self, wall: float) -> datetime | None:
        """The newest tick that the watermark has passed and that was not applied yet."""
        if not len(self._buffer):
            return None
        now, idle = self.clock.now(wall), wall - self._last_heard >= _IDLE
        self._caught_up = self._caught_up or idle or self._progress >= now - 2 * self.period.total_seconds() or wall - self._first_heard > _PATIENCE
        if not self._caught_up:
            return None
        watermark = self.clock.now(wall - self._lateness)
        if not idle:
            watermark = min(watermark, self._progress)
        tick = self.bound.view.tick.total_seconds()
        newest = datetime.fromtimestamp(watermark // tick * tick, UTC)
        return newest if self.applied is None or newest > self.applied else None

    def apply(self, tick: datetime) -> None:
        """Compute and write the rows of `tick`, remember it, and let go of what no later window can reach."""
        view, started = self.bound.view, wall_time.perf_counter()
        rows = online_rows(compute(self.bound, self._buffer.frame(), self.period, (tick, tick)), tick)
        rows += unseen_rows(self.bound, sorted(self._buffer.entities() - {row.entity for row in rows}), tick)
        computed = wall_time.perf_counter()
        self.rows += self._store.write(self._service, rows)
        self._metrics.stages["features"].observe(computed - started)
        self._publish(rows)  # before the tick counts as applied: a kill in between tells it twice, never not at all
        self._metrics.stages["write"].observe(wall_time.perf_counter() - computed)
        self.applied = tick
        self._ticks.add(tick, self._next)
        self._log.commit(GROUP, self._next)
        horizon = tick - view.longest
        self._buffer.forget(horizon)
        needed = {partition: self._oldest_needed(partition, horizon) for partition in self._next}
        self._log.trim(needed)
        self._ticks.forget(needed)

    def _oldest_needed(self, partition: int, horizon: datetime) -> int:
        kept = self._kept[partition]
        while kept and kept[0][1] <= horizon:
            kept.popleft()
        return kept[0][0] if kept else self._next[partition]

    @property
    def age(self) -> float:
        """Event seconds since the newest applied tick; NaN before the first."""
        return math.nan if self.applied is None else self.clock.now(self._wall()) - self.applied.timestamp()
