"""A key for each subject. What the log holds of a subject is encrypted by it, in every copy: forgetting somebody is dropping one key.

    with Subjects.open(path) as subjects:
        key = subjects.key("customer 4711", time)      # None: forgotten, and this record is from before
        key.pseudonym                                  # the same for one subject, until it is forgotten
        sealed = key.seal(b"...", b"decision|ab-0")
        subjects.forget("customer 4711", now)

The store is one SQLite file (0600). It does not say who the subjects are: they are looked up by an HMAC under a secret of the store. With a
Vault (`wrapper`) keys lie in it wrapped by a transit key. A subject that was forgotten and comes back gets a new key; records from before,
which may still be on their way into the log, get none.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from presage.errors import StateError
from presage.package.sealing import KeyWrapper
from presage.sqlite import open_file, reading, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS store (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subject (lookup BLOB PRIMARY KEY, pseudonym TEXT UNIQUE, key BLOB, forgotten REAL) WITHOUT ROWID
"""
_VERSION = b"\x01"
_NONCE = 12
FILE, TRANSIT_KEY = "PRESAGE_SUBJECT_KEYS", "PRESAGE_LOG_TRANSIT_KEY"


class SubjectKey:
    """One subject's key, parted into one for each use."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher, self._nonces = AESGCM(_part(key, b"encrypt")), _part(key, b"nonce")
        self.pseudonym = _part(key, b"pseudonym").hex()[:32]

    def seal(self, content: bytes, of: bytes) -> bytes:
        """AES-256-GCM, bound to `of` (what record it is). The nonce follows from record and content, so that the same record makes the same bytes."""
        nonce = hmac.digest(self._nonces, len(of).to_bytes(4, "little") + of + content, "sha256")[:_NONCE]
        return _VERSION + nonce + self._cipher.encrypt(nonce, content, of)

    def open(self, sealed: bytes, of: bytes) -> bytes:
        """Raises StateError where it was sealed by another key, for another record, or was changed."""
        from cryptography.exceptions import InvalidTag

        try:
            if sealed[:1] != _VERSION:
                raise InvalidTag
            return self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], of)
        except InvalidTag:
            raise StateError("A sealed part of the prediction log does not open: it was changed, or belongs to another key store.") from None


def _part(key: bytes, use: bytes) -> bytes:
    return hmac.digest(key, b"presage prediction log: " + use, "sha256")


class Subjects:
    """The key store. Build it with `Subjects.open`."""

    def __init__(self, path: Path, wrapper: KeyWrapper | None) -> None:
        self._path, self._wrapper = path, wrapper
        self._connection = open_file(path, schema=_SCHEMA, synchronous="FULL")
        self._connection.execute("PRAGMA secure_delete=ON")
        self._unwrapped: dict[bytes, SubjectKey] = {}
        with transaction(self._connection, path):
            found = self._connection.execute("SELECT value FROM store WHERE name = 'lookup'").fetchone()
            if found is None:
                self._connection.execute("INSERT INTO store VALUES ('lookup', ?)", (stored := self._made()[1],))
                found = (stored,)
        self._secret = self._opened(found[0])

    @classmethod
    def open(cls, path: Path, wrapper: KeyWrapper | None = None) -> Self:
        """Make the file (0600), or carry on in it. Raises StateError, and SecretsError where Vault does not unwrap."""
        return cls(path, wrapper)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def key(self, subject: str, time: float) -> SubjectKey | None:
        """The subject's key, made where it has none. None where it was forgotten after `time` (Unix seconds), when the record was made."""
        lookup = self._lookup(subject)
        ask = "SELECT key, forgotten FROM subject WHERE lookup = ?"
        with reading(self._path):
            row = self._connection.execute(ask, (lookup,)).fetchone()
        if row is not None and (row[1] is None or time > row[1]) and row[0] is not None:
            return self._subject_key(row[0])
        with transaction(self._connection, self._path):
            row = self._connection.execute(ask, (lookup,)).fetchone()
            if row is not None and row[1] is not None and time <= row[1]:
                return None
            if row is not None and row[0] is not None:
                return self._subject_key(row[0])
            plain, stored = self._made()
            key = SubjectKey(plain)
            self._connection.execute(
                "INSERT INTO subject VALUES (?, ?, ?, NULL) ON CONFLICT (lookup) DO UPDATE SET key = excluded.key, pseudonym = excluded.pseudonym",
                (lookup, key.pseudonym, stored),
            )
        return key

    def pseudonym(self, subject: str) -> str | None:
        """What the log calls this subject now; None where it has no key."""
        row = self._connection.execute("SELECT pseudonym FROM subject WHERE lookup = ?", (self._lookup(subject),)).fetchone()
        return None if row is None else row[0]

    def by_pseudonym(self, pseudonym: str) -> SubjectKey | None:
        """The key of a subject as the log names it; None: forgotten, or never known here."""
        row = self._connection.execute("SELECT key FROM subject WHERE pseudonym = ?", (pseudonym,)).fetchone()
        return None if row is None else self._subject_key(row[0])

    def forget(self, subject: str, time: float) -> bool:
        """Drop the key for good; whether there was one. time: Unix seconds; records from before get no new key."""
        lookup = self._lookup(subject)
        with transaction(self._connection, self._path):
            row = self._connection.execute("SELECT key FROM subject WHERE lookup = ?", (lookup,)).fetchone()
            self._connection.execute(
                "INSERT INTO subject VALUES (?, NULL, NULL, ?) "
                "ON CONFLICT (lookup) DO UPDATE SET key = NULL, pseudonym = NULL, forgotten = max(excluded.forgotten, coalesce(forgotten, 0))",
                (lookup, time),
            )
        self._unwrapped.clear()
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the old page is not left in the write-ahead log
        return row is not None and row[0] is not None

    def _lookup(self, subject: str) -> bytes:
        return hmac.digest(self._secret, subject.encode(), hashlib.sha256)

    def _made(self) -> tuple[bytes, bytes]:
        """(a new key, the same as it is stored)."""
        if self._wrapper is None:
            key = os.urandom(32)
            return key, key
        plain, wrapped = self._wrapper.data_key()
        return plain, wrapped.encode()

    def _opened(self, stored: bytes) -> bytes:
        if self._wrapper is None:
            if len(stored) != 32:
                raise StateError(f"{self._path}: its keys are wrapped by Vault. Set PRESAGE_VAULT_… so that they can be unwrapped.")
            return stored
        return self._wrapper.unwrap(stored.decode()) if stored.startswith(b"vault:") else stored

    def _subject_key(self, stored: bytes) -> SubjectKey:
        known = self._unwrapped.get(stored)
        if known is None:
            if len(self._unwrapped) >= 4096:
                self._unwrapped.clear()
            known = self._unwrapped[stored] = SubjectKey(self._opened(stored))
        return known


def open_subjects(path: Path | None, environment: Mapping[str, str]) -> Subjects:
    """The store at `path`, else $PRESAGE_SUBJECT_KEYS, else in the state directory. Keys are wrapped where PRESAGE_VAULT_… names a Vault."""
    from presage.package.transit_keys import keys_from_environment
    from presage.state import State

    wrapper = keys_from_environment({**environment, "PRESAGE_TRANSIT_KEY": environment.get(TRANSIT_KEY) or "prediction-log"})
    return Subjects.open(path or (Path(named) if (named := environment.get(FILE)) else State.open().keys / "subjects.db"), wrapper)
