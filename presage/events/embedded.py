"""The event log on SQLite, for one machine: a file a topic, write-ahead log, one fsync a batch."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from presage.errors import StateError, UsageError
from presage.events.log import Event, Position
from presage.sqlite import open_file, reading, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS part (id INTEGER PRIMARY KEY, first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS event (part INTEGER, place INTEGER, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (part, place)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (party TEXT, part INTEGER, place INTEGER NOT NULL, PRIMARY KEY (party, part)) WITHOUT ROWID
"""


class EmbeddedEventLog:
    """See presage.events.log.EventLog. A key's partition is crc32(key) modulo their number."""

    def __init__(self, path: Path, partitions: int) -> None:
        if partitions < 1:
            raise UsageError(f"{partitions} partitions are too few. Ask for at least one.")
        self._path = path
        self._connection = open_file(path, schema=_SCHEMA, synchronous="FULL")
        with transaction(self._connection, path):
            made = self._connection.execute("SELECT count(*) FROM part").fetchone()[0]
            if not made:
                self._connection.executemany("INSERT INTO part (id) VALUES (?)", ((number,) for number in range(partitions)))
        if made not in (0, partitions):
            self.close()
            raise StateError(f"{path} was made with {made} partitions, not {partitions}. Ask for {made}, or name another folder.")
        self._partitions = partitions

    @property
    def partitions(self) -> int:
        return self._partitions

    def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        if not records:
            return []
        positions: list[Position] = []
        with transaction(self._connection, self._path):
            following = dict(self._connection.execute("SELECT id, next FROM part"))
            for key, _ in records:
                part = zlib.crc32(key.encode()) % self._partitions
                positions.append(Position(part, following[part]))
                following[part] += 1
            self._connection.executemany(
                "INSERT INTO event VALUES (?, ?, ?, ?)",
                ((at.partition, at.offset, key, value) for at, (key, value) in zip(positions, records, strict=True)),
            )
            self._connection.executemany("UPDATE part SET next = ? WHERE id = ?", ((place, part) for part, place in following.items()))
        return positions

    def read(self, partition: int, offset: int, limit: int = 1000) -> list[Event]:
        with reading(self._path):
            rows = self._connection.execute(
                "SELECT part, place, key, value FROM event WHERE part = ? AND place >= ? ORDER BY place LIMIT ?", (partition, offset, limit)
            ).fetchall()
        return [Event(*row) for row in rows]

    def bounds(self) -> dict[int, tuple[int, int]]:
        with reading(self._path):
            return {part: (first, following) for part, first, following in self._connection.execute("SELECT id, first, next FROM part ORDER BY id")}

    def commit(self, group: str, positions: Mapping[int, int]) -> None:
        with transaction(self._connection, self._path):
            self._connection.executemany(
                "INSERT INTO progress VALUES (?, ?, ?) ON CONFLICT (party, part) DO UPDATE SET place = excluded.place",
                ((group, part, place) for part, place in positions.items()),
            )

    def committed(self, group: str) -> dict[int, int]:
        with reading(self._path):
            rows = self._connection.execute(
                "SELECT id, max(first, coalesce(place, 0)) FROM part LEFT JOIN progress ON part = id AND party = ? ORDER BY id", (group,)
            )
            return dict(rows.fetchall())

    def trim(self, before: Mapping[int, int]) -> int:
        gone = 0
        with transaction(self._connection, self._path):
            for part, place in before.items():
                gone += self._connection.execute("DELETE FROM event WHERE part = ? AND place < ?", (part, place)).rowcount
                # Never past the end: an offset that was not given yet must not count as trimmed.
                self._connection.execute("UPDATE part SET first = max(first, min(next, ?)) WHERE id = ?", (place, part))
        return gone

    def close(self) -> None:
        self._connection.close()
