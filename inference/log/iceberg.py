"""The log as Iceberg tables: `presage log sync --to iceberg:CATALOG`.

    iceberg:sqlite:////var/lib/presage/catalog.db          a SQL catalogue in a file; the data beside it
    iceberg:postgresql+psycopg://host/db  --warehouse s3://bucket/prefix

Tables `presage.decisions` and `presage.snapshots`, parted by day. A row knows the log's file that it came from (`log_file`, with the file's
digest), and a commit adds whole files: so what is in the table says what is still to come, a process that dies between two commits has added
whole files or none, and repeating adds nothing. A file that was shipped again with more records replaces its rows in one commit. A column that
the log has and the table has not is added to the table; a column that an old file has not is null in its rows.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.log.folder import TABLES, LogFile, Table, files
from inference.log.warehouse import Synced, SyncedTable
from presage.errors import InputError, StateError
from presage.files import sha256_file

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table as IcebergTable

NAMESPACE = "presage"
COMMIT_ROWS = 500_000
"""Most rows of one commit, but for the last file in it: bounds this process's memory."""
TRIES = 5
_SQLITE = re.compile(r"sqlite:///(?P<path>/?[^?#]+)")


def sync_iceberg(log: Path, catalogue: str, warehouse: str | None, environment: Mapping[str, str]) -> Synced:
    """Add to the tables what the log has more. warehouse: folder or s3://…; default: beside a SQLite catalogue. Raises InputError, StateError."""
    opened = open_catalogue(catalogue, warehouse, environment)
    opened.create_namespace_if_not_exists(NAMESPACE)
    return Synced(f"iceberg:{catalogue}", [_sync(opened, log, table) for table in TABLES])


def open_catalogue(catalogue: str, warehouse: str | None, environment: Mapping[str, str]) -> "SqlCatalog":
    """See sync_iceberg."""
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy.exc import SQLAlchemyError

    match = _SQLITE.fullmatch(catalogue)
    if match is None and not catalogue.startswith("postgresql"):
        raise InputError(f"{catalogue[:200]!r} is no SQL catalogue. Write sqlite:////FILE, or postgresql+psycopg://USER@HOST/DATABASE.")
    if match is not None:
        Path(match["path"]).absolute().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if warehouse is None:
        if match is None:
            raise InputError("--warehouse is needed beside a catalogue that is no file: a folder, or s3://BUCKET/PREFIX.")
        warehouse = str(Path(match["path"]).absolute().parent / "warehouse")
    address, properties = _place(warehouse, environment)
    try:
        return SqlCatalog(NAMESPACE, uri=catalogue, warehouse=address, **properties)
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        raise InputError(f"{_without_password(catalogue)}: the catalogue cannot be opened ({str(error).splitlines()[0][:200]}).") from None


def _place(warehouse: str, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """(address, properties of the catalogue's file access)."""
    if not warehouse.startswith("s3://"):
        return Path(warehouse).absolute().as_uri(), {}
    from presage.storage.s3 import S3Settings

    settings = S3Settings.from_environment(environment)
    keys = {name: (settings.credentials / name).read_text().strip() for name in ("access_key", "secret_key")}
    return warehouse.rstrip("/"), {
        "s3.endpoint": settings.endpoint, "s3.region": settings.region,
        "s3.access-key-id": keys["access_key"], "s3.secret-access-key": keys["secret_key"],
    }  # fmt: skip


def _without_password(address: str) -> str:
    return re.sub(r"//[^@/]*@", "//…@", address)


def _sync(catalogue: "SqlCatalog", log: Path, table: Table) -> SyncedTable:
    from pyiceberg.exceptions import CommitFailedException

    found = files(log, table)
    added = rows = 0
    for day, of_day in _by_day(found).items():
        digests = {file: sha256_file(file.path) for file in of_day}
        for attempt in range(TRIES):
            try:
                plus = _sync_day(catalogue, table, day, digests)
                break
            except CommitFailedException:  # somebody else committed since we looked: look again, or we might add what they added
                if attempt + 1 == TRIES:
                    raise StateError(f"{NAMESPACE}.{table}: others keep committing to it. Synchronise again later; nothing was added twice.") from None
        added, rows = added + plus[0], rows + plus[1]
    return SyncedTable(table, len(found), added, rows)


def _by_day(found: list[LogFile]) -> dict[date, list[LogFile]]:
    days: dict[date, list[LogFile]] = defaultdict(list)
    for file in found:
        days[file.day].append(file)
    return days


def _sync_day(catalogue: "SqlCatalog", table: Table, day: date, digests: Mapping[LogFile, str]) -> tuple[int, int]:
    """(files, rows) added of one day. Raises CommitFailedException where another process has changed the table since it was looked at."""
    from pyiceberg.exceptions import CommitFailedException
    from pyiceberg.expressions import In, Reference
    from pyiceberg.expressions.literals import literal

    added = rows = 0
    opened = _load(catalogue, table)
    there, seen = ({}, None) if opened is None else (_there(opened, day), _snapshot(opened))
    for part in _parts([file for file, digest in digests.items() if there.get(file.key) != digest], digests):
        content = _rows(part)
        opened = _made(catalogue, table, content.schema) if opened is None else _widened(opened, content.schema)
        if _snapshot(opened) != seen:
            raise CommitFailedException("the table has moved")
        content = _conform(content, opened)
        stale = {literal(f"{file.key}@{there[file.key]}") for file, _ in part if file.key in there}
        if stale:
            opened.overwrite(content, overwrite_filter=In(term=Reference("log_file"), values=stale))
        else:
            opened.append(content)
        seen = _snapshot(opened)
        added, rows = added + len(part), rows + len(content)
    return added, rows


def _snapshot(opened: "IcebergTable") -> int | None:
    current = opened.current_snapshot()
    return None if current is None else current.snapshot_id


def _parts(missing: list[LogFile], digests: Mapping[LogFile, str]) -> Iterator[list[tuple[LogFile, str]]]:
    import pyarrow.parquet as pq

    part: list[tuple[LogFile, str]] = []
    rows = 0
    for file in missing:
        part.append((file, digests[file]))
        rows += pq.read_metadata(file.path).num_rows
        if rows >= COMMIT_ROWS:
            yield part
            part, rows = [], 0
    if part:
        yield part


def _rows(part: list[tuple[LogFile, str]]) -> "pa.Table":
    """The files' rows, with day, region and the file that each came from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for file, digest in part:
        content = pq.ParquetFile(file.path).read()
        if sha256_file(file.path) != digest:
            raise StateError(f"{file.path} was shipped again just now. Synchronise again; nothing of it was added.")
        extra: dict[str, Any] = {"day": pa.scalar(file.day, pa.date32()), "region": file.region, "log_file": f"{file.key}@{digest}"}
        for name, value in extra.items():
            content = content.append_column(name, pa.repeat(value, len(content)))
        tables.append(content.replace_schema_metadata(None))
    return pa.concat_tables(tables, promote_options="default")


def _load(catalogue: "SqlCatalog", table: Table) -> "IcebergTable | None":
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return catalogue.load_table((NAMESPACE, table))
    except NoSuchTableError:
        return None


def _made(catalogue: "SqlCatalog", table: Table, schema: "pa.Schema") -> "IcebergTable":
    from pyiceberg.exceptions import TableAlreadyExistsError

    # The library must not repeat a commit by itself: it would add rows that another process has added since we looked.
    properties = {"commit.retry.num-retries": "0", "write.parquet.compression-codec": "zstd"}
    try:
        # Identity on a day column, not the day of `time`: the log's own day, and a reader needs no Rust transform to write it.
        with catalogue.create_table_transaction((NAMESPACE, table), schema=schema, properties=properties) as made, made.update_spec() as spec:
            spec.add_identity("day")
    except TableAlreadyExistsError:
        pass  # another process made it meanwhile
    return catalogue.load_table((NAMESPACE, table))


def _widened(opened: "IcebergTable", schema: "pa.Schema") -> "IcebergTable":
    known = {field.name for field in opened.schema().fields}
    if any(name not in known for name in schema.names):
        with opened.update_schema() as update:
            update.union_by_name(schema)
    return opened


def _conform(content: "pa.Table", opened: "IcebergTable") -> "pa.Table":
    """Columns that these files do not have are null."""
    import pyarrow as pa

    for field in opened.schema().as_arrow():
        if field.name not in content.column_names:
            content = content.append_column(field.name, pa.nulls(len(content), field.type))
    return content


def _there(opened: "IcebergTable", day: date) -> dict[str, str]:
    """File → digest, of what the table holds of this day."""
    from pyiceberg.expressions import EqualTo, Reference
    from pyiceberg.expressions.literals import literal

    of_day = EqualTo(term=Reference("day"), value=literal(day))
    found = opened.scan(row_filter=of_day, selected_fields=("log_file",)).to_arrow()["log_file"].unique().to_pylist()
    return dict(name.rsplit("@", 1) for name in found)
