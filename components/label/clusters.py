"""Incidents that belong together: one outage hits several servers, and evidence must count it once."""

from datetime import timedelta

import polars as pl

TOUCH = timedelta(minutes=30)
"""Incidents whose spans overlap, or come this near to each other, are one cluster, on whatever server."""


def number_clusters(incidents: pl.DataFrame) -> pl.DataFrame:
    """`incidents` (INCIDENT_SCHEMA) sorted by start, with `incident` Int32 (0, 1, …) and `cluster` Int32 (by first start)."""
    ordered = incidents.sort("start", "end", "entity")
    latest_end_before = pl.col("end").cum_max().shift(1)
    new = (pl.col("start") > latest_end_before + TOUCH).fill_null(True)
    return ordered.with_columns(
        incident=pl.int_range(pl.len(), dtype=pl.Int32),
        cluster=(new.cum_sum() - 1).cast(pl.Int32),
    ).select("incident", "entity", "start", "end", "cause", "cluster")
