"""The producer: what a live source yields, durably into the event log."""

import time
from collections.abc import Callable

import msgspec

from inference.stream.metrics import StreamMetrics
from presage.events.log import EventLog
from presage.telemetry.live import LiveStream


def produce(stream: LiveStream, log: EventLog, metrics: StreamMetrics, appended: Callable[[], None]) -> None:
    """Append every batch until the stream is closed; `appended` is called after each. Runs as long as the source does."""
    encode = msgspec.msgpack.Encoder().encode
    for batch in stream:
        started = time.perf_counter()
        log.append([(reading.entity, encode(reading)) for reading in batch])
        metrics.stages["append"].observe(time.perf_counter() - started)
        appended()
