"""The last hours of readings, in memory: what the feature engine looks at when a tick comes."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl

from presage.telemetry.schema import Reading

_MICROSECONDS = 1_000_000


def to_micros(time: datetime) -> int:
    """Unix microseconds of an aware time, exact."""
    whole = time.astimezone(UTC).replace(microsecond=0)
    return int(whole.timestamp()) * _MICROSECONDS + time.microsecond


class ReadingBuffer:
    """Readings by arrival; one an entity and time. Rows: entity number i32, time i64 (Unix µs), values f64 [metrics]."""

    def __init__(self, metrics: Sequence[str]) -> None:
        self.metrics = tuple(metrics)
        self._entities: dict[str, int] = {}
        self._held: set[tuple[int, int]] = set()
        self._used = 0
        self._owner = np.empty(1024, np.int32)
        self._micros = np.empty(1024, np.int64)
        self._values = np.empty((1024, len(self.metrics)))

    def __len__(self) -> int:
        return self._used

    def holds(self, reading: Reading) -> bool:
        """Whether this entity was already heard of for this time."""
        return (self._entities.get(reading.entity, -1), to_micros(reading.time)) in self._held

    def add(self, reading: Reading) -> None:
        """Take one reading; metrics that are not ours are left out, missing ones are NaN."""
        if self._used == len(self._micros):
            self._owner, self._micros = np.resize(self._owner, 2 * self._used), np.resize(self._micros, 2 * self._used)
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        number = self._entities.setdefault(reading.entity, len(self._entities))
        micros = to_micros(reading.time)
        self._held.add((number, micros))
        self._owner[self._used], self._micros[self._used] = number, micros
        self._values[self._used] = [reading.values.get(metric, np.nan) for metric in self.metrics]
        self._used += 1

    def entities(self) -> set[str]:
        """Everyone who has a reading in here."""
        present = set(np.unique(self._owner[: self._used]).tolist())
        return {entity for entity, number in self._entities.items() if number in present}

    def forget(self, until: datetime) -> None:
        """Drop readings at or before `until`."""
        keep = self._micros[: self._used] > to_micros(until)
        gone = ~keep
        self._held.difference_update(zip(self._owner[: self._used][gone].tolist(), self._micros[: self._used][gone].tolist(), strict=True))
        kept = int(keep.sum())
        for column in (self._owner, self._micros, self._values):
            column[:kept] = column[: self._used][keep]
        self._used = kept

    def frame(self) -> pl.DataFrame:
        """entity, time Datetime[us, UTC], one Float64 column a metric (NaN = not seen), by arrival."""
        names = pl.Series("entity", list(self._entities), pl.String)
        times = pl.Series("time", self._micros[: self._used], pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        columns = {metric: self._values[: self._used, place] for place, metric in enumerate(self.metrics)}
        return pl.DataFrame({"entity": names.gather(self._owner[: self._used]), "time": times, **columns})
