"""Numbers from what people write."""

import polars as pl


def parse_values(column: pl.Series, scale: float | pl.Series) -> pl.DataFrame:
    """`value` (Float64 × scale, null = not seen or refused) and `rule` (null, `not-a-number` or `not-finite`), a row a cell.

    An empty cell or null is a value that was not seen: no fault.
    """
    text = column.dtype == pl.String
    stripped = column.str.strip_chars() if text else column
    empty = stripped.is_null() | (stripped == "") if text else column.is_null()
    number = stripped.cast(pl.Float64, strict=False)
    frame = pl.DataFrame({"number": number, "empty": empty}).with_columns(scaled=pl.col("number") * scale)
    finite = pl.col("scaled").is_finite().fill_null(value=False)
    return frame.select(
        value=pl.when(finite).then("scaled"),
        rule=pl.when("empty").then(pl.lit(None, dtype=pl.String))
        .when(pl.col("number").is_null()).then(pl.lit("not-a-number"))
        .when(~finite).then(pl.lit("not-finite")),
    )
