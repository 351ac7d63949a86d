"""One way to open a SQLite file: write-ahead log, owner-only, and failures as sentences.

    connection = open_file(path, schema="CREATE TABLE IF NOT EXISTS …")
    with transaction(connection, path):
        connection.execute(...)
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from presage.errors import StateError

_MAPPED = 1 << 30  # bytes of the file that readers map instead of copying


def open_file(path: Path, *, schema: str, synchronous: str = "NORMAL", page_size: int = 4096) -> sqlite3.Connection:
    """Open for reading and writing; made with mode 0600 where it is missing.

    schema: statements that may run again (IF NOT EXISTS). synchronous: FULL survives loss of power at one fsync a
    transaction, NORMAL survives the death of every process. The connection may be used by one thread at a time.
    Raises StateError where the folder or file cannot be used.
    """
    with _sentences(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = _connect(path, "rw")
        connection.execute(f"PRAGMA page_size={page_size:d}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        for statement in filter(str.strip, schema.split(";")):
            connection.execute(statement)
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open an existing file for reading only; raises StateError where there is none or it is no SQLite file."""
    with _sentences(path):
        connection = _connect(path, "ro")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(f"file:{quoted}?mode={mode}", uri=True, isolation_level=None, timeout=10, check_same_thread=False, cached_statements=64)
    connection.execute(f"PRAGMA mmap_size={_MAPPED:d}")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All or nothing. Raises StateError on a full disk, a lock held too long, a damaged file; then nothing was changed."""
    with _sentences(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled it back already
                connection.execute("ROLLBACK")
            raise


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """SQLite's failures inside become StateError."""
    with _sentences(path):
        yield


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise failure(path, error) from error


def failure(path: Path, error: sqlite3.Error | OSError) -> StateError:
    """What failed, as a sentence."""
    if isinstance(error, sqlite3.Error):
        return StateError(f"{path}: {_sentence(error)}")
    return StateError(f"{path}: {(error.strerror or str(error)).lower()}. Name a place that you can write to.")


def _sentence(error: sqlite3.Error) -> str:
    match (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return "no space left on the device. Free some space; nothing was changed."
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another process keeps it locked. Stop that process, or name another file."
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return "not a sound SQLite file. Remove it, or name another."
        case sqlite3.SQLITE_CANTOPEN:
            return "there is no such file here, or it cannot be opened."
        case sqlite3.SQLITE_READONLY:
            return "it cannot be written to. Check its owner and mode."
        case sqlite3.SQLITE_IOERR:
            return f"reading or writing failed ({error}). Check the disk and its free space."
    return f"SQLite refused ({error})."
