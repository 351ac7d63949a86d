"""Where the parts begin: times that are common to all servers.

    unsupervised │ train │ select │ calibrate │ test
                 U       S        C           T

U: where labelled time begins; where all of it is labelled, a third into it (labels before U stay unread). T: two thirds of
the time from U on. S and C: the last part of what lies before T, moved so that neither cuts through an incident cluster and
both parts hold clusters enough to choose and to calibrate by.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from presage.durations import format_duration
from presage.errors import InputError

UNLABELLED_ENOUGH = timedelta(days=1)
"""Less unlabelled time than this before the first label cannot teach a detector the rhythm of a day."""
SELECT, CALIBRATE = 0.2, 0.2
"""Shares of the time between U and T."""
WANTED_CLUSTERS = (4, 3, 2, 1)
"""Of select and of calibrate, each; the first number that some placement reaches is taken."""

PARTS = ("unsupervised", "train", "select", "calibrate", "test")


@dataclass(frozen=True)
class Room:
    """What is left out before a boundary B: [B − whole, B). before: the labels' horizon. after: the longest feature window and
    the embargo. So no label interval of one part touches a feature window of the next. All of it lies on the earlier side: the
    test then begins where it should, not hours later and without the incidents in them."""

    before: timedelta
    after: timedelta

    @property
    def whole(self) -> timedelta:
        return self.before + self.after


@dataclass(frozen=True)
class Boundaries:
    """Each part begins at its time and ends where the next begins; `end` is past the last row."""

    unsupervised: datetime
    train: datetime
    select: datetime
    calibrate: datetime
    test: datetime
    end: datetime

    def span(self, part: str) -> tuple[datetime, datetime]:
        """[begin, end) of a part."""
        following = (*PARTS, "end")[PARTS.index(part) + 1]
        return getattr(self, part), getattr(self, following)


def place_boundaries(labels: pl.DataFrame, tick: timedelta, room: Room) -> Boundaries:
    """labels: as components.label writes them, with at least one row of each class. Raises InputError where no placement holds."""
    known = labels.filter(pl.col("label").is_not_null())["time"]
    begin, first, last = labels["time"].min(), known.min(), known.max()
    assert isinstance(begin, datetime) and isinstance(first, datetime) and isinstance(last, datetime)
    end = last + room.before + tick  # labels end a horizon before the labelled time does
    start = first if first - begin >= UNLABELLED_ENOUGH else _on_tick(first + (end - first) / 3, tick)
    test = _on_tick(start + (end - start) * 2 / 3, tick)
    spans = cluster_spans(labels, start)
    if not spans.filter((pl.col("first") >= test) & (pl.col("first") < end)).height:
        raise InputError(_too_few(spans.filter(pl.col("first") < test).height, spans.height, "test", test, end))
    select, calibrate = place_choice(spans, start, test, room)
    return Boundaries(begin, start, select, calibrate, test, max(end, _after_last(labels, tick)))


def _on_tick(time: datetime, tick: timedelta) -> datetime:
    whole = timedelta(microseconds=round((time - datetime.min.replace(tzinfo=time.tzinfo)) / timedelta(microseconds=1)))
    return time - whole % tick


def _after_last(labels: pl.DataFrame, tick: timedelta) -> datetime:
    last = labels["time"].max()
    assert isinstance(last, datetime)
    return last + tick


def cluster_spans(labels: pl.DataFrame, start: datetime) -> pl.DataFrame:
    """cluster, first, last: the times of each cluster's first and last positive row from `start` on, by first."""
    positive = labels.filter((pl.col("label") == 1) & (pl.col("time") >= start))
    return positive.group_by("cluster").agg(first=pl.col("time").min(), last=pl.col("time").max()).sort("first")


def place_choice(spans: pl.DataFrame, start: datetime, test: datetime, room: Room) -> tuple[datetime, datetime]:
    """(select, calibrate), nearest to their shares of the time among the placements that hold clusters enough."""
    hours = int((test - start) / timedelta(hours=1))
    seconds = np.arange(1, hours, dtype=np.float64) * 3600.0
    firsts, lasts = (np.array([(time - start).total_seconds() for time in spans[name]]) for name in ("first", "last"))
    inside = ((seconds[:, None] > firsts) & (seconds[:, None] <= lasts)).any(axis=1)
    candidates = seconds[~inside] if (~inside).any() else seconds
    total = (test - start).total_seconds()
    targets = total * (1 - SELECT - CALIBRATE), total * (1 - CALIBRATE)
    count = _Counter(firsts, room)
    best: tuple[float, float, float] | None = None
    for wanted in WANTED_CLUSTERS:
        for calibrate in candidates:
            if count.between(calibrate, total) < wanted:
                continue
            for select in candidates[candidates < calibrate]:
                distance = abs(select - targets[0]) + abs(calibrate - targets[1])
                if best is not None and distance >= best[0]:
                    continue
                if count.between(select, calibrate) >= wanted and count.between(0.0, select) >= wanted:
                    best = (distance, select, calibrate)
        if best is not None:
            return start + timedelta(seconds=best[1]), start + timedelta(seconds=best[2])
    raise InputError(_too_few(int((firsts < total).sum()), spans.height, "train, select and calibrate", start, test))


@dataclass(frozen=True)
class _Counter:
    """How many clusters begin in a part once room is made, over seconds since the start: fast enough to be asked for every placement."""

    firsts: npt.NDArray[np.float64]
    room: Room

    def between(self, begin: float, end: float) -> int:
        return int(((self.firsts >= begin) & (self.firsts < end - self.room.whole.total_seconds())).sum())


def _too_few(found: int, total: int, parts: str, begin: datetime, end: datetime) -> str:
    span = format_duration(timedelta(hours=round((end - begin) / timedelta(hours=1))))
    return (f"No placement of {parts} in the {span} from {begin:%Y-%m-%d %H:%M} holds an incident of its own in each: {found} of {total} incident clusters "
            "begin before the test. Give a longer history.")
