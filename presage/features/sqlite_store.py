"""The online store on SQLite: one file, write-ahead log, read through a memory map. A row's blob: presage.features.packing."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from presage.errors import StateError
from presage.features.declaration import BoundView
from presage.features.packing import pack_row, pack_service, unpack_row, unpack_service
from presage.features.store import OnlineRow, ServiceDescription
from presage.sqlite import failure, open_file, open_reader, reading, transaction
from presage.telemetry.clock import StreamClock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS service (name TEXT PRIMARY KEY, description BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS online_row (id INTEGER PRIMARY KEY, service TEXT NOT NULL, entity TEXT NOT NULL, time REAL NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS by_entity ON online_row (service, entity)
"""
_UPSERT = """
INSERT INTO online_row (service, entity, time, blob) VALUES (?, ?, ?, ?)
ON CONFLICT (service, entity) DO UPDATE SET time = excluded.time, blob = excluded.blob WHERE excluded.time >= online_row.time
"""

_KEPT = 2048
"""Most rows that a reader keeps until the next commit; each is some kilobytes."""


class SqliteOnlineStore:
    """See presage.features.store.OnlineStore. Raises StateError where the file is missing (read only), foreign, locked or full."""

    heals = False

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self._path, self._read_only = path, read_only
        self._version, self._known = -1, dict[tuple[str, str], OnlineRow | None]()
        if read_only:
            if not path.is_file():
                raise _not_yet(path)
            self._connection = open_reader(path)
            with reading(path):
                made = self._connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'by_entity'").fetchone()[0]
            if not made:  # the writer is just laying it out
                self.close()
                raise _not_yet(path)
        else:  # pages of 16 KiB hold a row of some hundred features and its history whole
            self._connection = open_file(path, schema=_SCHEMA, page_size=16384)

    def put_service(self, service: str, bound: BoundView, source: str, clock: StreamClock) -> None:
        with transaction(self._connection, self._path):
            stored = self._description(service)
            if stored and (stored.bound.version != bound.version or stored.source != source):
                self._connection.execute("DELETE FROM online_row WHERE service = ?", (service,))
            self._connection.execute("DELETE FROM online_row WHERE service = ? AND time > ?", (service, clock.event_origin))
            self._connection.execute(
                "INSERT INTO service VALUES (?, ?) ON CONFLICT DO UPDATE SET description = excluded.description",
                (service, pack_service(bound, source, clock)),
            )

    def describe(self, service: str) -> ServiceDescription | None:
        with reading(self._path):
            return self._description(service)

    def _description(self, service: str) -> ServiceDescription | None:
        found = self._connection.execute("SELECT description FROM service WHERE name = ?", (service,)).fetchone()
        return None if found is None else unpack_service(found[0])

    def write(self, service: str, rows: Sequence[OnlineRow]) -> int:
        with transaction(self._connection, self._path):
            before = self._connection.total_changes
            self._connection.executemany(_UPSERT, ((service, row.entity, row.time, pack_row(row)) for row in rows))
            return self._connection.total_changes - before

    def read(self, service: str, entities: Sequence[str]) -> list[OnlineRow | None]:
        query, several = self._connection.execute, self._read_only and len(entities) > 1
        try:  # on the request path: a context manager would cost as much as the look-up
            if several:  # the lock is taken once, and all rows are of one moment
                query("BEGIN")
            known = self._known_now()
            missing = [entity for entity in dict.fromkeys(entities) if (service, entity) not in known]
            if len(known) + len(missing) > _KEPT:
                self._known = {}
                known = self._known if len(entities) <= _KEPT else {}  # what is more is read and not kept
                missing = list(dict.fromkeys(entities))
            for entity in missing:
                found = query("SELECT time, blob FROM online_row WHERE service = ? AND entity = ?", (service, entity)).fetchone()
                known[service, entity] = None if found is None else unpack_row(entity, found[0], found[1])
            rows = [known[service, entity] for entity in entities]
            if several:
                query("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._end_reading()
            raise failure(self._path, error) from error
        except BaseException:
            self._end_reading()
            raise
        return rows

    def _known_now(self) -> dict[tuple[str, str], OnlineRow | None]:
        """Rows that were read since anybody last wrote: SQLite counts the commits of others, and says how many in a third of a look-up."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or not self._read_only:
            self._version, self._known = version, {}
        return self._known

    def _end_reading(self) -> None:
        with suppress(sqlite3.Error):  # it may be closed, or broken
            if self._read_only and self._connection.in_transaction:
                self._connection.rollback()

    def entities(self, service: str) -> list[str]:
        with reading(self._path):
            return [row[0] for row in self._connection.execute("SELECT entity FROM online_row WHERE service = ? ORDER BY entity", (service,))]

    def close(self) -> None:
        self._connection.close()


def _not_yet(path: Path) -> StateError:
    return StateError(f"{path}: there is no online store here yet. Start the telemetry stream (presage up), or name the file it writes.")
