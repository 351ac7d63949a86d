"""Instants from what people write.

ISO 8601 with an offset (or Z, or UTC), with `T` or a space, to the second or finer; numbers are Unix time in seconds,
milli-, micro- or nanoseconds by their size (from 1973 on: a smaller number is rather a compact date or a counter). A time
without an offset names no instant: it is refused, unless the mapping says which zone it means. Times of several offsets
are all turned into UTC.
"""

import polars as pl

from presage.telemetry.schema import TIME

_ISO = r"^\s*(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:[.,]\d{1,9})?)?)?\s*(Z|z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?\s*$"
_WHOLE = r"^\s*-?\d{1,19}(?:\.\d+)?\s*$"


def parse_times(column: pl.Series, timezone: str | None) -> pl.DataFrame:
    """`time` (TIME, null where refused), `rule` (null, `no-time`, `naive-time`, `no-such-time` or `not-a-time`), a row a value.

    `column`: String, any Datetime, Date, or a number. `timezone`: of naive times, or None to refuse them.
    """
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is not None:
            return _result(column.dt.convert_time_zone("UTC").cast(TIME), None, column)
        return _localised(column.cast(pl.Datetime("us")), timezone, column)
    if kind == pl.Date:
        return _localised(column.cast(pl.Datetime("us")), timezone, column)
    if kind.is_numeric():
        return _result(_epoch(column.cast(pl.Float64) if kind.is_float() else column), None, column)
    if kind != pl.String:
        return _result(pl.Series(column.name, [None] * len(column), dtype=TIME), "not-a-time", column)
    parts = pl.DataFrame({"text": column}).select(
        "text",
        date=pl.col("text").str.extract(_ISO, 1),
        minute=pl.col("text").str.extract(_ISO, 2).fill_null("00:00"),
        second=pl.col("text").str.extract(_ISO, 3).fill_null(":00").str.replace(",", "."),
        zone=pl.col("text").str.extract(_ISO, 4),
        whole=pl.col("text").str.contains(_WHOLE),
    )
    digits = pl.col("zone").str.replace_all(r"[^0-9]", "")
    hours, minutes = digits.str.slice(0, 2).cast(pl.Int64, strict=False), digits.str.slice(2, 2).cast(pl.Int64, strict=False).fill_null(0)
    sign = pl.when(pl.col("zone").str.starts_with("-")).then(-1).otherwise(1)
    offset = pl.when(digits.str.len_chars() > 0).then(sign * (hours * 60 + minutes)).otherwise(0)
    written = parts.select(
        naive=(pl.col("date") + " " + pl.col("minute") + pl.col("second")).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False),
        offset=offset,
        aware=pl.col("zone").is_not_null(),
        whole=pl.col("whole"),
        matches=pl.col("date").is_not_null(),
    )
    aware = written.select((pl.col("naive") - pl.duration(minutes=pl.col("offset"))).dt.replace_time_zone("UTC"))["naive"]
    naive = _localised(written["naive"], timezone, column)
    epoch = _epoch(column.str.strip_chars().cast(pl.Float64, strict=False))
    return pl.DataFrame({"aware": aware, "naive": naive["time"], "naive_rule": naive["rule"], "epoch": epoch, "text": column}).with_columns(
        written["aware"].alias("is_aware"), written["whole"].alias("is_whole"), written["matches"]
    ).select(
        time=pl.when("is_aware").then("aware").when("is_whole").then("epoch").otherwise("naive").cast(TIME),
        rule=pl.when(pl.col("text").is_null() | (pl.col("text").str.strip_chars() == "")).then(pl.lit("no-time"))
        .when(pl.col("is_whole")).then(pl.when(pl.col("epoch").is_null()).then(pl.lit("not-a-time")))
        .when(~pl.col("matches")).then(pl.lit("not-a-time"))
        .when(pl.col("is_aware")).then(pl.when(pl.col("aware").is_null()).then(pl.lit("not-a-time")))
        .otherwise(pl.col("naive_rule")),
    )


def _result(time: pl.Series, rule: str | None, column: pl.Series) -> pl.DataFrame:
    frame = pl.DataFrame({"time": time, "missing": column.is_null()})
    return frame.select("time", rule=pl.when("missing").then(pl.lit("no-time")).when(pl.col("time").is_null()).then(pl.lit(rule or "not-a-time")))


def _localised(naive: pl.Series, timezone: str | None, column: pl.Series) -> pl.DataFrame:
    """Naive times read in `timezone`: those that a clock change skips or repeats name no single instant."""
    if timezone is None:
        empty = pl.Series("time", [None] * len(naive), dtype=TIME)
        frame = pl.DataFrame({"time": empty, "missing": column.is_null(), "bad": naive.is_null()})
        return frame.select("time", rule=pl.when("missing").then(pl.lit("no-time")).when("bad").then(pl.lit("not-a-time")).otherwise(pl.lit("naive-time")))
    time = naive.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC").cast(TIME)
    frame = pl.DataFrame({"time": time, "missing": column.is_null(), "bad": naive.is_null()})
    rule = pl.when("missing").then(pl.lit("no-time")).when("bad").then(pl.lit("not-a-time")).when(pl.col("time").is_null()).then(pl.lit("no-such-time"))
    return frame.select("time", rule=rule)


def _epoch(column: pl.Series) -> pl.Series:
    """Unix time in s, ms, µs or ns, told apart by size (seconds reach 10¹¹ in the year 5138)."""
    value = pl.col("value")
    size = value.abs()
    micros = (
        pl.when(size < 1e8).then(None)
        .when(size < 1e11).then(value * 1e6)
        .when(size < 1e14).then(value * 1e3)
        .when(size < 1e17).then(value)
        .when(size < 9.2e18).then(value / 1e3)
    )
    return pl.DataFrame({"value": column}).select(micros.round().cast(pl.Int64, strict=False).cast(TIME).alias("time"))["time"]
