"""The online store on SQLite: one file, write-ahead log, read through a memory map.

A row's blob is a header and three float32 arrays, little-endian, so that a read makes views and parses nothing:

    format u8 · windows u8 · history u16 · metrics u16 · features u32 · version 8 bytes · values · coverage · history
"""

import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from presage.errors import StateError
from presage.features.declaration import BoundView
from presage.features.store import OnlineRow, ServiceDescription
from presage.sqlite import open_file, open_reader, reading, transaction
from presage.telemetry.clock import StreamClock

_HEADER = struct.Struct("<BBHHI8s2x")  # 20 bytes: the arrays behind it stay aligned to their four
_FORMAT = 1
_FLOAT = np.dtype("<f4")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS service (name TEXT PRIMARY KEY, description BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS online_row (id INTEGER PRIMARY KEY, service TEXT NOT NULL, entity TEXT NOT NULL, time REAL NOT NULL, blob BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS by_entity ON online_row (service, entity)
"""
_UPSERT = """
INSERT INTO online_row (service, entity, time, blob) VALUES (?, ?, ?, ?)
ON CONFLICT (service, entity) DO UPDATE SET time = excluded.time, blob = excluded.blob WHERE excluded.time >= online_row.time
"""


class SqliteOnlineStore:
    """See presage.features.store.OnlineStore. Raises StateError where the file is missing (read only), foreign, locked or full."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self._path = path
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
        document = {
            "bound": bound.as_document(),
            "source": source,
            "clock": [clock.event_origin, clock.wall_origin, clock.speed],
        }
        with transaction(self._connection, self._path):
            stored = self._description(service)
            if stored and (stored.bound.version != bound.version or stored.source != source):
                self._connection.execute("DELETE FROM online_row WHERE service = ?", (service,))
            self._connection.execute("DELETE FROM online_row WHERE service = ? AND time > ?", (service, clock.event_origin))
            self._connection.execute(
                "INSERT INTO service VALUES (?, ?) ON CONFLICT DO UPDATE SET description = excluded.description",
                (service, msgspec.json.encode(document)),
            )

    def describe(self, service: str) -> ServiceDescription | None:
        with reading(self._path):
            return self._description(service)

    def _description(self, service: str) -> ServiceDescription | None:
        found = self._connection.execute("SELECT description FROM service WHERE name = ?", (service,)).fetchone()
        if found is None:
            return None
        document = msgspec.json.decode(found[0])
        return ServiceDescription(BoundView.from_document(document["bound"]), document["source"], StreamClock(*document["clock"]))

    def write(self, service: str, rows: Sequence[OnlineRow]) -> int:
        with transaction(self._connection, self._path):
            before = self._connection.total_changes
            self._connection.executemany(_UPSERT, ((service, row.entity, row.time, _pack(row)) for row in rows))
            return self._connection.total_changes - before

    def read(self, service: str, entities: Sequence[str]) -> list[OnlineRow | None]:
        query = self._connection.execute
        with reading(self._path):
            found = [query("SELECT time, blob FROM online_row WHERE service = ? AND entity = ?", (service, entity)).fetchone() for entity in entities]
        return [None if row is None else _unpack(entity, row[0], row[1]) for entity, row in zip(entities, found, strict=True)]

    def entities(self, service: str) -> list[str]:
        with reading(self._path):
            return [row[0] for row in self._connection.execute("SELECT entity FROM online_row WHERE service = ? ORDER BY entity", (service,))]

    def close(self) -> None:
        self._connection.close()


def _not_yet(path: Path) -> StateError:
    return StateError(f"{path}: there is no online store here yet. Start the telemetry stream (presage up), or name the file it writes.")


def _pack(row: OnlineRow) -> bytes:
    history, metrics = row.history.shape
    header = _HEADER.pack(_FORMAT, row.coverage.size, history, metrics, row.values.size, bytes.fromhex(row.version))
    return b"".join([header, *(np.ascontiguousarray(part, _FLOAT).tobytes() for part in (row.values, row.coverage, row.history))])


def _unpack(entity: str, time: float, blob: bytes) -> OnlineRow:
    form, windows, history, metrics, features, version = _HEADER.unpack_from(blob)
    if form != _FORMAT:
        raise StateError(f"The online row of {entity} has format {form}, this program reads {_FORMAT}. Remove the online store and restart the stream.")
    floats = np.frombuffer(blob, _FLOAT, offset=_HEADER.size)
    split = features + windows
    return OnlineRow(entity, time, version.hex(), floats[:features], floats[features:split], floats[split:].reshape(history, metrics))
