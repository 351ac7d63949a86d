"""Every row into its part: pure, from labels and boundaries.

A row is kept in the part its time lies in unless it is unlabelled, lies in the room before a boundary, or belongs to a
cluster whose positives began in an earlier part. What is not kept is `purged`. Inside train, `fold` numbers blocks of time
for a forward chain (fit on folds < k, judge on fold k), with the same room between them; null inside that room.
"""

from datetime import timedelta

import polars as pl

from components.split.boundaries import PARTS, Boundaries, Room

MOST_FOLDS = 5
FOLD_ROOMS = 2  # a block of the forward chain is at least this many times as long as the room it loses


def assign_parts(labels: pl.DataFrame, boundaries: Boundaries, room: Room) -> pl.DataFrame:
    """entity, time, part String, fold Int8: a row a row of `labels`, in its order."""
    time, part = pl.col("time"), pl.lit("purged")
    for name in PARTS[1:]:
        begin, end = boundaries.span(name)
        last = end if name == "test" else end - room.whole
        part = pl.when((time >= begin) & (time < last) & pl.col("label").is_not_null()).then(pl.lit(name)).otherwise(part)
    begin, end = boundaries.span("unsupervised")
    part = pl.when((time >= begin) & (time < end - room.after)).then(pl.lit("unsupervised")).otherwise(part)
    rows = labels.with_columns(part=part).with_columns(fold=_folds(boundaries, room))
    order = pl.col("part").replace_strict({name: number for number, name in enumerate(PARTS)}, default=None, return_dtype=pl.Int8)
    earliest = pl.when((pl.col("label") == 1) & (order > 0)).then(order).min().over("cluster")
    straddles = (pl.col("label") == 1) & (order > 0) & (order > earliest)
    return rows.with_columns(part=pl.when(straddles.fill_null(False)).then(pl.lit("purged")).otherwise("part")).with_columns(
        fold=pl.when(pl.col("part") == "train").then("fold")
    ).select("entity", "time", "part", "fold")


def _folds(boundaries: Boundaries, room: Room) -> pl.Expr:
    begin, end = boundaries.span("train")
    end -= room.whole
    number = max(1, min(MOST_FOLDS, int((end - begin) / (FOLD_ROOMS * room.whole)))) if room.whole else MOST_FOLDS
    length = (end - begin) / number
    fold = pl.lit(None, dtype=pl.Int8)
    for index in range(number):
        first = begin + length * index
        last = begin + length * (index + 1) - (room.whole if index + 1 < number else timedelta(0))
        fold = pl.when((pl.col("time") >= first) & (pl.col("time") < last)).then(pl.lit(index, dtype=pl.Int8)).otherwise(fold)
    return fold
