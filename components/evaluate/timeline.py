"""Scored rows of all servers as arrays in one order, and the incidents they are judged by."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

GRACE = timedelta(minutes=30)
"""An alarm this long after an incident's end is not false: the server is still settling."""
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Incidents:
    """start, end f64[n] Unix seconds, both inclusive; entity int[n] into Timeline.entities; cluster int[n]."""

    entity: npt.NDArray[np.intp]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    cluster: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Timeline:
    """Rows sorted by (entity, time). entity int[n] into `entities`; time f64[n] Unix seconds; label int8[n]; active bool[n]: an
    incident is active at the row; cluster int[n], −1 for negatives; begins bool[n]: the row before is another server's, or further away than a tick
    and a half; excused bool[n]: an alarm here is not false. tick, horizon: seconds."""

    entities: tuple[str, ...]
    entity: npt.NDArray[np.intp]
    time: npt.NDArray[np.float64]
    label: npt.NDArray[np.int8]
    active: npt.NDArray[np.bool_]
    cluster: npt.NDArray[np.int64]
    begins: npt.NDArray[np.bool_]
    excused: npt.NDArray[np.bool_]
    incidents: Incidents
    tick: float
    horizon: float

    @property
    def server_days(self) -> float:
        """Scored time, in days of one server."""
        return len(self.time) * self.tick / 86400.0

    def events(self) -> npt.NDArray[np.intp]:
        """Incidents that can be judged: those that start within the scored time and have a scored row in [start − H, end]."""
        if not len(self.time):
            return np.empty(0, np.intp)
        found = self.incidents
        inside = (found.start >= self.time.min()) & (found.start <= self.time.max())
        return np.array([i for i in np.flatnonzero(inside) if self.rows_of(int(i)).any()], np.intp)

    def rows_of(self, incident: int) -> npt.NDArray[np.bool_]:
        """Rows of the incident's server within [start − H, end], bool[n]."""
        found = self.incidents
        window = (self.time >= found.start[incident] - self.horizon) & (self.time <= found.end[incident])
        return np.asarray(window & (self.entity == found.entity[incident]))


def build_timeline(rows: pl.DataFrame, incidents: pl.DataFrame, tick: timedelta, horizon: timedelta) -> Timeline:
    """rows: entity, time, label (0 or 1), cluster, sorted by (entity, time). incidents: as components.label writes them."""
    entities = tuple(sorted(set(rows["entity"]) | set(incidents["entity"])))
    number = {name: index for index, name in enumerate(entities)}
    entity = np.array([number[name] for name in rows["entity"]], np.intp)
    time = _seconds(rows["time"])
    step = tick / SECOND
    found = Incidents(
        np.array([number[name] for name in incidents["entity"]], np.intp), _seconds(incidents["start"]), _seconds(incidents["end"]),
        incidents["cluster"].to_numpy().astype(np.int64),
    )  # fmt: skip
    begins = np.ones(len(time), bool)
    begins[1:] = (np.diff(entity) != 0) | (np.diff(time) > 1.5 * step)
    active, excused = np.zeros(len(time), bool), np.zeros(len(time), bool)
    for index in range(len(found.start)):
        mine = entity == found.entity[index]
        active |= mine & (time >= found.start[index]) & (time <= found.end[index])
        excused |= mine & (time >= found.start[index] - horizon / SECOND) & (time <= found.end[index] + GRACE / SECOND)
    label = rows["label"].to_numpy().astype(np.int8)
    cluster = np.where(label == 1, rows["cluster"].fill_null(-1).to_numpy().astype(np.int64), -1)
    return Timeline(entities, entity, time, label, active, cluster, begins, excused, found, step, horizon / SECOND)


def _seconds(times: pl.Series) -> npt.NDArray[np.float64]:
    return times.dt.epoch("us").to_numpy().astype(np.float64) / 1e6
