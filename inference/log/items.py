"""Which files a log has, and whose: what retention goes by (presage.governance.retention)."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from inference.log.folder import TABLES, LogFile, every


class LogItem(msgspec.Struct, frozen=True):
    """One file: its place under the log, the day and the region of its records, its bytes, and who wrote it (empty: it does not say)."""

    key: str
    table: str
    day: str
    region: str
    bytes: int
    model: str
    version: str
    release: str


def items(log: Path) -> Iterator[LogItem]:
    """Every file, one at a time: of each no more than its first row is read."""
    for table in TABLES:
        for file in every(log, table):
            try:
                size = file.path.stat().st_size
                model, version, release = _writer(file)
            except FileNotFoundError:  # somebody else was first
                continue
            yield LogItem(file.key, table, file.day.isoformat(), file.region, size, model, version, release)


def _writer(file: LogFile) -> tuple[str, str, str]:
    """A file is one writer's. A damaged one says nothing."""
    import polars as pl

    try:
        rows = pl.scan_parquet(file.path, hive_partitioning=False)
        there = [name for name in ("model", "version", "release") if name in rows.collect_schema().names()]
        found = rows.select(there).head(1).collect().to_dicts()
    except pl.exceptions.PolarsError:
        return "", "", ""
    # `version` of a snapshot is that of its features, not of a release.
    row = found[0] if found else {}
    return (str(row.get("model") or ""), *((str(row.get(name) or "") for name in ("version", "release")) if file.table == "decisions" else ("", "")))
