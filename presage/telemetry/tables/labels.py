"""Incidents and labelled intervals from a label column.

An incident is a run of true rows of one entity, a labelled interval a run of rows with any label; a row without one ends
both. Start and end are the first and last row's times (both inclusive); the cause is that of the run's first row.
"""

import polars as pl

from presage.telemetry.schema import INCIDENT_SCHEMA, INTERVAL_SCHEMA

TRUE, FALSE = ("true", "1", "1.0", "yes", "t", "y"), ("false", "0", "0.0", "no", "f", "n")


def parse_labels(column: pl.Series) -> pl.DataFrame:
    """`label` (Boolean, null = unlabelled) and `bad` (Boolean: neither true, false nor empty), a row a value."""
    if column.dtype == pl.Boolean:
        return pl.DataFrame({"label": column}).select("label", bad=pl.lit(value=False))
    text = pl.col("text").str.strip_chars().str.to_lowercase()
    return pl.DataFrame({"text": column.cast(pl.String)}).select(
        label=pl.when(text.is_in(TRUE)).then(pl.lit(value=True)).when(text.is_in(FALSE)).then(pl.lit(value=False)),
        bad=text.is_not_null() & (text != "") & ~text.is_in(TRUE) & ~text.is_in(FALSE),
    )


def incidents_of(rows: pl.DataFrame) -> pl.DataFrame:
    """INCIDENT_SCHEMA from `rows` (entity, time, label, cause), sorted by (entity, time)."""
    runs = _runs(rows.with_columns(state=pl.col("label").fill_null(value=False))).filter("state")
    return runs.select("entity", "start", "end", "cause").cast(INCIDENT_SCHEMA)  # type: ignore[arg-type]


def labelled_intervals(rows: pl.DataFrame) -> pl.DataFrame:
    """INTERVAL_SCHEMA from `rows` (entity, time, label, cause), sorted by (entity, time)."""
    runs = _runs(rows.with_columns(state=pl.col("label").is_not_null())).filter("state")
    return runs.select("entity", "start", "end").cast(INTERVAL_SCHEMA)  # type: ignore[arg-type]


def _runs(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a run of equal `state` of one entity: entity, state, start, end, cause."""
    changes = (pl.col("entity") != pl.col("entity").shift()) | (pl.col("state") != pl.col("state").shift())
    numbered = rows.with_columns(run=changes.fill_null(value=True).cum_sum())
    return numbered.group_by("run", maintain_order=True).agg(
        pl.col("entity").first(), pl.col("state").first(), pl.col("time").first().alias("start"), pl.col("time").last().alias("end"), pl.col("cause").first()
    )
