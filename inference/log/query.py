"""SQL over the log: tables `decisions` and `snapshots`, with `day` and `region` beside their columns."""

from base64 import b64encode
from datetime import date, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from inference.log.folder import TABLES, files
from presage.errors import UsageError


class Answer(msgspec.Struct, frozen=True):
    """rows: in the order of columns. more: whether the query found more rows than these."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool


def query(log: Path, sql: str, most: int, since: date | None = None, until: date | None = None) -> Answer:
    """Raises UsageError with the engine's word where the query is none. What is sealed stays sealed."""
    import polars as pl
    from polars.exceptions import PolarsError

    tables: dict[str, pl.LazyFrame] = {}
    for table in TABLES:
        paths = [file.path for file in files(log, table, since, until)]
        if paths:
            tables[table] = pl.scan_parquet(paths, hive_partitioning=True, try_parse_hive_dates=True, missing_columns="insert", extra_columns="ignore")
    try:
        with pl.SQLContext(tables) as context:
            found = context.execute(sql).head(most + 1).collect()
    except (PolarsError, NotImplementedError) as error:
        raise UsageError(f"The query cannot be answered: {' '.join(str(error).split())[:400]}. Tables: {', '.join(tables) or 'none yet'}.") from None
    rows = [[_plain(value) for value in row] for row in found.head(most).iter_rows()]
    return Answer(found.columns, rows, found.height > most)


def _plain(value: Any) -> Any:
    """As JSON has it: times RFC 3339, bytes base64, a number that is none null."""
    match value:
        case float():
            return value if isfinite(value) else None
        case bytes():
            return b64encode(value).decode()
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case list():
            return [_plain(inner) for inner in value]
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case None | bool() | int() | str():
            return value
    return str(value)
