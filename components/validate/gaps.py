"""Gaps are reported, never refused: missing samples lower a window's coverage, they do not make the others wrong."""

from datetime import timedelta

import polars as pl

GAP_PERIODS = 1.5
"""Two samples further apart than this many periods have a gap between them."""
LISTED = 20


def find_gaps(readings: pl.DataFrame, period: timedelta) -> dict[str, object]:
    """{count, entities, missing_samples, missing_share, longest[{entity, start, end, minutes}]}: the longest first."""
    steps = readings.select(
        "entity", start=pl.col("time").shift(1), end="time",
        step=pl.when(pl.col("entity") == pl.col("entity").shift(1)).then(pl.col("time") - pl.col("time").shift(1)),
    )
    gaps = steps.filter(pl.col("step") > GAP_PERIODS * period).with_columns(minutes=pl.col("step").dt.total_seconds() / 60)
    missing = int((gaps["step"].dt.total_microseconds() / (period / timedelta(microseconds=1))).round().sum() or 0) - gaps.height
    return {
        "count": gaps.height,
        "entities": gaps["entity"].n_unique() if gaps.height else 0,
        "missing_samples": missing,
        "missing_share": missing / (missing + readings.height) if readings.height else 0.0,
        "longest": [
            {"entity": row["entity"], "start": row["start"].isoformat(), "end": row["end"].isoformat(), "minutes": row["minutes"]}
            for row in gaps.sort("minutes", "entity", "start", descending=[True, False, False]).head(LISTED).to_dicts()
        ],
    }
