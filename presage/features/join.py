"""Training rows: what was known at a time, and nothing that came later."""

from datetime import timedelta

import polars as pl

from presage.errors import InputError


def as_of(keys: pl.DataFrame, rows: pl.DataFrame, max_age: timedelta | None = None) -> pl.DataFrame:
    """For each key the entity's latest feature row at or before the key's time: keys' columns, then `feature_time`, then
    the rows' other columns, in the order of `keys`; nulls where there is no row, or none younger than `max_age` (included).

    keys: entity, time, anything else (labels). rows: entity, time, features; one row an entity and time.
    Equal to Feast's get_historical_features with a ttl of `max_age`. Raises InputError where a name is in both tables.
    """
    if clash := (set(keys.columns) & set(rows.columns)) - {"entity", "time"}:
        raise InputError(f"Both tables hold a column {sorted(clash)[0]!r}. Rename it in one of them.")
    keys = keys.with_row_index("_place").with_columns(pl.col("time").cast(rows.schema["time"]))
    joined = keys.sort("time").join_asof(
        rows.with_columns(feature_time="time").sort("time"),
        on="time",
        by="entity",
        strategy="backward",
        tolerance=max_age,
        check_sortedness=False,
    )
    features = [name for name in rows.columns if name not in ("entity", "time")]
    return joined.sort("_place").select([*(name for name in keys.columns if name != "_place"), "feature_time", *features])
