"""The simulated fleet, live: the back-fill at once, then as fast as `speed` says, for ever."""

import threading
import time as wall_time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from presage.errors import UsageError
from presage.telemetry.clock import StreamClock
from presage.telemetry.live import Waiter, believable
from presage.telemetry.schema import Metric, Reading
from presage.telemetry.simulator.calendar import DAY, PERIOD, minute_of, moment
from presage.telemetry.simulator.episodes import Episode
from presage.telemetry.simulator.faults import Collected
from presage.telemetry.simulator.fleet import Fleet
from presage.telemetry.simulator.source import SimulatedSource
from presage.telemetry.simulator.world import World

_GROWS, _HURTS = 20, 90  # minutes after the opening
_BACKFILL_BATCH = 60  # minutes


def opening_incident(fleet: Fleet, minute: int) -> Episode:
    """The incident that a newcomer sees first: a memory leak on the first compute server (else the first server).

    It grows fast first, slower later, so that it can be told from an evening's growth well before it hurts."""
    server = next((i for i, server in enumerate(fleet.servers) if server.role.prefix == "app"), 0)
    start = minute + _HURTS
    return Episode(server, "leak", minute + _GROWS, start, start + 60, start + 75, peak=1.0, bend=0.5, cause="memory_leak")


@dataclass
class SimulatedStream:
    """LiveStream of the simulated fleet. `opening` is the incident planned for its first minutes; `refused` counts values
    outside a metric's physical bounds, which a live reading goes without."""

    source: str
    metrics: tuple[Metric, ...]
    entities: pl.DataFrame
    clock: StreamClock
    world: World
    opening: Episode
    next_minute: int
    wall: Callable[[], float] = wall_time.time
    wait: Waiter | None = None
    period: timedelta = PERIOD
    notes: tuple[str, ...] = ()
    refused: int = 0
    _closed: threading.Event = field(default_factory=threading.Event)
    _day: tuple[int, Collected] | None = None

    @classmethod
    def begin(cls, source: SimulatedSource, speed: float, backfill: timedelta, start: datetime, opening: datetime) -> "SimulatedStream":
        """Raises UsageError on a speed that is no positive number, a negative back-fill or a time without zone."""
        if not 0 < speed <= 100_000:
            raise UsageError(f"--speed {speed:g} cannot be followed. Give a number above 0 and up to 100000 (60 = an hour a minute).")
        if backfill < timedelta(0):
            raise UsageError(f"A back-fill of {backfill} lies in the future. Give 0 or more.")
        for time in (start, opening):
            if time.tzinfo is None:
                raise UsageError(f"{time.isoformat()} has no time zone, so it names no instant. Give one in UTC.")
        plain = source.world()
        first = opening_incident(plain.fleet, minute_of(opening))
        coming = (f"{plain.fleet.names[first.server]} heads for a memory leak that hurts at {moment(first.start):%H:%M} of the fleet's time.",) \
            if start < moment(first.start) else ()
        return cls(
            source=source.spec,
            metrics=source.columns,
            entities=plain.fleet.entities(),
            clock=StreamClock(start.timestamp(), wall_time.time(), speed),
            world=replace(plain, planned=(first,)),
            opening=first,
            next_minute=minute_of(start - backfill),
            notes=(f"A simulated fleet of {len(plain.fleet)} servers at {speed:g} times real time.", *coming),
        )

    def __iter__(self) -> Iterator[list[Reading]]:
        wait = self.wait or self._closed.wait
        while not self._closed.is_set():
            reached = minute_of(datetime.fromtimestamp(self.clock.now(self.wall()), UTC) + timedelta(microseconds=1)) - 1
            if reached < self.next_minute:
                due = self.clock.wall(moment(self.next_minute).timestamp())
                # At most a second at a time: a wall clock that was set must not stall the stream for long.
                if wait(min(1.0, max(0.001, due - self.wall()))):
                    return
                continue
            last = min(reached, self.next_minute + _BACKFILL_BATCH - 1)
            batch = [reading for minute in range(self.next_minute, last + 1) for reading in self._minute(minute)]
            self.next_minute = last + 1
            yield batch

    def close(self) -> None:
        self._closed.set()

    def _minute(self, minute: int) -> list[Reading]:
        day, column = divmod(minute, DAY)
        if self._day is None or self._day[0] != day:
            self._day = (day, self.world.day(day))
        collected, time = self._day[1], moment(minute)
        values = np.stack([collected.metrics[metric.name][:, column] for metric in self.metrics]).astype(np.float64)
        readings = []
        for server in np.flatnonzero(collected.arrived[:, column]):
            kept = {m.name: float(v) for m, v in zip(self.metrics, values[:, server], strict=True) if believable(m, float(v))}
            self.refused += len(self.metrics) - len(kept)
            readings.append(Reading(self.world.fleet.names[server], time, kept, self.source))
        return readings
