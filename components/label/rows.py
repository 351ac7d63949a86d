"""Labels of ticks: pure, from incidents, labelled intervals and a horizon.

label 1: an incident of this entity is active at t, or starts in (t, t + horizon].
null: not both t and t + horizon lie in one labelled interval of the entity. A tick whose future is only partly known is
left out whatever happened, else the end of every interval would hold positives only.
"""

from datetime import timedelta

import polars as pl


def label_rows(ticks: pl.DataFrame, incidents: pl.DataFrame, labelled: pl.DataFrame, horizon: timedelta) -> pl.DataFrame:
    """ticks: entity, time. incidents: as `number_clusters` gives them. labelled: INTERVAL_SCHEMA.

    Returns entity, time, label Int8, strict Int8 (null also where an incident is active), incident Int32 (the earliest that
    makes the row positive), cluster Int32; sorted by (entity, time), a row a tick.
    """
    ticks = ticks.select("entity", "time").sort("entity", "time")
    known = (
        ticks.join(labelled, on="entity")
        .filter((pl.col("time") >= pl.col("start")) & (pl.col("time") + horizon <= pl.col("end")))
        .select("entity", "time").unique().with_columns(known=pl.lit(True))
    )
    causes = (
        ticks.join(incidents, on="entity")
        .filter((pl.col("time") >= pl.col("start") - horizon) & (pl.col("time") <= pl.col("end")))
        .sort("start", "incident")
        .group_by("entity", "time", maintain_order=True)
        .agg(pl.col("incident", "cluster").first(), active=(pl.col("start") <= pl.col("time")).any())
    )
    rows = ticks.join(known, on=["entity", "time"], how="left").join(causes, on=["entity", "time"], how="left")
    label = pl.when(pl.col("known")).then(pl.col("incident").is_not_null().cast(pl.Int8))
    strict = pl.when(~pl.col("active").fill_null(False)).then(label)
    return (
        rows.with_columns(label=label, strict=strict)
        .with_columns(pl.when(pl.col("label") == 1).then(pl.col("incident", "cluster")))
        .select("entity", "time", "label", "strict", "incident", "cluster")
        .sort("entity", "time")
    )
