"""How a stream starts: over, or on from where the last one stopped.

It goes on where the log and the store were left by the same source, declaration and clock, and no window has run empty
since; a source that can be told where to start (the simulated fleet) is told. Everything else starts over, from nothing.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

from inference.stream.ticks import AppliedTicks
from presage.events.log import EventLog
from presage.features.declaration import BoundView, FeatureView
from presage.features.store import OnlineStore
from presage.telemetry.clock import StreamClock
from presage.telemetry.live import LiveStream
from presage.telemetry.sources import LiveSource


@runtime_checkable
class RestartableSource(Protocol):
    """A source whose stream can be told its first instant, and where the stream that it continues once began."""

    def stream(self, speed: float, backfill: timedelta, start: datetime | None = None, opening: datetime | None = None) -> LiveStream: ...


@dataclass(frozen=True)
class Beginning:
    """stream: to be read. clock: its event time (on a restart the one that it started with). resumed: whether it goes on."""

    stream: LiveStream
    bound: BoundView
    clock: StreamClock
    resumed: bool


def begin(
    source: LiveSource,
    view: FeatureView,
    *,
    speed: float,
    backfill: timedelta,
    service: str,
    store: OnlineStore,
    log: EventLog,
    ticks: AppliedTicks,
    wall: Callable[[], float],
) -> Beginning:
    """Open the source's stream and make store, log and ticks ready for it."""
    before, last = store.describe(service), ticks.last
    if before is not None and last is not None and before.source == source.spec:
        missed = timedelta(seconds=before.clock.now(wall()) - last.timestamp())
        if timedelta(0) <= missed < view.longest:
            stream = _continued(source, before.clock, min(backfill, missed + view.tick), speed, wall)
            bound = view.bind([metric.name for metric in stream.metrics])
            if bound.version == before.bound.version and _same_line(stream.clock, before.clock, view.tick, wall()):
                return Beginning(stream, bound, before.clock, resumed=True)
            stream.close()
    stream = source.stream(speed, backfill)
    bound = view.bind([metric.name for metric in stream.metrics])
    log.trim({partition: following for partition, (_, following) in log.bounds().items()})
    ticks.clear()
    store.put_service(service, bound, source.spec, stream.clock)
    return Beginning(stream, bound, stream.clock, resumed=False)


def _continued(source: LiveSource, clock: StreamClock, backfill: timedelta, speed: float, wall: Callable[[], float]) -> LiveStream:
    if isinstance(source, RestartableSource) and {"start", "opening"} <= inspect.signature(source.stream).parameters.keys():
        start, opening = (datetime.fromtimestamp(second, UTC) for second in (clock.now(wall()), clock.event_origin))
        return source.stream(speed, backfill, start=start, opening=opening)
    return source.stream(speed, backfill)


def _same_line(one: StreamClock, other: StreamClock, tick: timedelta, wall: float) -> bool:
    """Whether two clocks tell the same event time now and run equally fast."""
    return one.speed == other.speed and abs(one.now(wall) - other.now(wall)) < tick.total_seconds()
