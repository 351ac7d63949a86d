"""The table's shape, checked by pandera before any rule looks at a value."""

import polars as pl

from presage.errors import InputError
from presage.telemetry.schema import TIME, Telemetry


def check_schema(telemetry: Telemetry) -> None:
    """Columns, types, nulls in the key, one row an entity and time. Raises InputError in one sentence."""
    import pandera.polars as pa
    from pandera.errors import SchemaError

    schema = pa.DataFrameSchema(
        {
            "entity": pa.Column(pl.String, nullable=False),
            "time": pa.Column(TIME, nullable=False),
            **{name: pa.Column(pl.Float64, nullable=True) for name in telemetry.metric_names},
        },
        strict=True, ordered=True, unique=["entity", "time"],
    )
    try:
        schema.validate(telemetry.readings)
    except SchemaError as error:
        fact = " ".join(str(error).split())
        if "not unique" in fact:
            raise InputError(f"telemetry of {telemetry.source}: some entity has two rows of one time. Keep one row an entity and time.") from None
        raise InputError(f"telemetry of {telemetry.source}: {fact}. Mend the source's columns.") from None
