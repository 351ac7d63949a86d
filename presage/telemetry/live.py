"""What a live source gives: readings, as they fall due.

    stream = live_source("simulated").stream(speed=60, backfill=timedelta(hours=6))
    for batch in stream:            # the back-fill at once, then paced
        ...
    stream.close()                  # from another thread: the iteration ends, a wait under way too
"""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Protocol

import polars as pl

from presage.telemetry.clock import StreamClock
from presage.telemetry.schema import Metric, Reading


class LiveStream(Protocol):
    """Batches of readings in event-time order: first the back-fill at once, then each as its event time is reached."""

    @property
    def source(self) -> str:
        """The spec that made it: every reading's `source`."""

    @property
    def metrics(self) -> tuple[Metric, ...]: ...
    @property
    def period(self) -> timedelta:
        """How often each entity reports."""

    @property
    def entities(self) -> pl.DataFrame:
        """ENTITY_SCHEMA."""

    @property
    def clock(self) -> StreamClock: ...
    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before reading predictions: one sentence each."""

    def __iter__(self) -> Iterator[list[Reading]]: ...
    def close(self) -> None:
        """End the iteration; safe from another thread, more than once."""


class Waiter(Protocol):
    """`threading.Event.wait`: blocks for so many seconds, True as soon as the stream was closed."""

    def __call__(self, timeout: float) -> bool: ...


def believable(metric: Metric, value: float) -> bool:
    """Whether a live value may travel: finite and inside the metric's physical bounds. Others count as not seen."""
    return math.isfinite(value) and (metric.low is None or value >= metric.low) and (metric.high is None or value <= metric.high)
