"""Does anything of a later part, or of the label, stand in an earlier one? Asked of the finished split, by code of its own.

Nothing here is shared with what made the split: it looks at rows, labels, incidents and features as they will be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import polars as pl

from presage.errors import PresageError

ORDER = ("unsupervised", "train", "select", "calibrate", "test")
COPIES_THE_LABEL = 0.999
"""A feature whose correlation with the label reaches this says the label in other words."""
_CHUNK = 32  # columns read at once
_FEWEST = 20  # rows with a value before a correlation means anything


class LeakageFound(PresageError):
    """The split or the features leak; the run ends here."""

    def __init__(self, findings: list[str]) -> None:
        more = f" ({len(findings) - 1} more in folds.json)" if len(findings) > 1 else ""
        super().__init__(f"The leakage check failed: {findings[0]}{more} Nothing was trained; mend the labels, the split or the features.")
        self.findings = findings


@dataclass(frozen=True)
class Reach:
    """How far a row looks: its label covers (t, t + horizon], its features cover (t − window, t]."""

    horizon: timedelta
    window: timedelta


def find_leaks(folds: pl.DataFrame, labels: pl.DataFrame, features: Path, reach: Reach) -> list[str]:
    """Findings, each a sentence; empty where nothing leaks. features: rows.parquet."""
    keyed = folds.filter(pl.col("part") != "purged")
    rows = keyed.join(labels, on=["entity", "time"], how="left")
    return [
        *_twice(keyed), *_overlaps(keyed, reach), *_fold_overlaps(keyed, reach), *_shared_events(rows, "incident"), *_shared_events(rows, "cluster"),
        *_copies(rows.filter(pl.col("part") == "train"), features),
    ]


def _twice(folds: pl.DataFrame) -> Iterator[str]:
    twice = folds.group_by("entity", "time").agg(pl.len()).filter(pl.col("len") > 1)
    if twice.height:
        row = twice.sort("entity", "time").row(0, named=True)
        yield f"{twice.height} rows stand in two parts, the first is {row['entity']} at {row['time']:%Y-%m-%d %H:%M}."


def _overlaps(folds: pl.DataFrame, reach: Reach) -> Iterator[str]:
    spans = {str(part): (first, last) for part, first, last in folds.group_by("part").agg(first=pl.col("time").min(), last=pl.col("time").max()).iter_rows()}
    for earlier, later in combinations([part for part in ORDER if part in spans], 2):
        last, first = spans[earlier][1], spans[later][0]
        if last >= first:
            yield f"{earlier} reaches to {last:%Y-%m-%d %H:%M}, {later} begins at {first:%Y-%m-%d %H:%M}: they overlap."
            continue
        told = last if earlier == "unsupervised" else last + reach.horizon  # unsupervised rows carry no label that is read
        if told > first - reach.window:
            what = "features" if earlier == "unsupervised" else "labels"
            yield f"{what} of {earlier} tell of times up to {told:%Y-%m-%d %H:%M}, features of {later} begin at {first - reach.window:%Y-%m-%d %H:%M}."


def _fold_overlaps(folds: pl.DataFrame, reach: Reach) -> Iterator[str]:
    spans = folds.filter(pl.col("fold").is_not_null()).group_by("fold").agg(first=pl.col("time").min(), last=pl.col("time").max()).sort("fold").to_dicts()
    for earlier, later in pairwise(spans):
        if earlier["last"] + reach.horizon > later["first"] - reach.window:
            yield f"labels of fold {earlier['fold']} reach into the feature windows of fold {later['fold']}."


def _shared_events(rows: pl.DataFrame, event: str) -> Iterator[str]:
    held = rows.filter((pl.col("label") == 1) & (pl.col("part") != "unsupervised")).group_by(event).agg(pl.col("part").unique())
    shared = held.filter(pl.col("part").list.len() > 1).sort(event)
    if shared.height:
        row = shared.row(0, named=True)
        parts = " and ".join(part for part in ORDER if part in row["part"])
        yield f"{event} {row[event]} has positive rows in {parts} ({shared.height} such in all)."


def _copies(train: pl.DataFrame, features: Path) -> Iterator[str]:
    labels = train.select("entity", "time", "label")
    table = pl.scan_parquet(features)
    names = [name for name, kind in table.collect_schema().items() if kind.is_numeric()]
    for start in range(0, len(names), _CHUNK):
        chunk = names[start:start + _CHUNK]
        joined = labels.join(table.select("entity", "time", *chunk).collect(), on=["entity", "time"], how="inner")
        target = joined["label"].to_numpy().astype(np.float64)
        for name in chunk:
            value = joined[name].cast(pl.Float64).to_numpy()
            seen = np.isfinite(value)
            if abs(_correlation(value[seen], target[seen])) >= COPIES_THE_LABEL:
                yield f"the feature {name} equals the label (correlation {_correlation(value[seen], target[seen]):.4f})."


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    if x.size < _FEWEST:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else 0.0
