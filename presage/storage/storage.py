"""The interface under a release store: keys with `/` in them, whole contents, and one way to replace a document safely.

    storage.write("blobs/sha256/0f…", content)          whole or not at all
    before = storage.current("index.json", limit)
    storage.replace("index.json", content, before)      raises Changed where another writer was first

    for stored in storage.listed("blobs/sha256/"): storage.remove(stored.key, before)      what nobody wrote or refreshed since `before`

A store is only added to, and its index says what counts; what no index leads to any more is removed by retention alone.

    StorageError (a PresageError)   the place cannot be used: out, refusing, full; its message is for a person
    Unreadable                      one key cannot be read: not there, or no plain file
    Changed                         what was to be replaced is another by now
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from presage.errors import PresageError


class StorageError(PresageError):
    """A folder or an object store that cannot be used as asked."""


class Unreadable(Exception):
    """One key's content cannot be had; the text says why, as part of a sentence."""


class Changed(Exception):
    """Another writer replaced the document first."""


@dataclass(frozen=True)
class Versioned:
    """A content and what names its version here."""

    content: bytes
    version: str


@dataclass(frozen=True)
class Stored:
    """A key with its size in bytes and when it was last written or refreshed (UTC)."""

    key: str
    size: int
    written: datetime


class Storage(Protocol):
    """`str()` of one is its address, for sentences."""

    def read(self, key: str, limit: int) -> bytes:
        """The content of `key`, cut after `limit` + 1 bytes. Raises Unreadable."""

    def holds(self, key: str, size: int) -> bool:
        """Whether `key` is there with so many bytes."""

    def write(self, key: str, content: bytes) -> None:
        """Store `content`, whole or not at all."""

    def current(self, key: str, limit: int) -> Versioned | None:
        """The content with its version, None where there is none yet. Raises Unreadable."""

    def replace(self, key: str, content: bytes, before: Versioned | None) -> None:
        """Store `content` in place of `before`, which `current` gave. Raises Changed where `key` holds something else now."""

    def refresh(self, key: str) -> bool:
        """Make sure that what lies at `key` counts as written lately (within half a day), so that nobody removes it as left over. False where it
        must be written again for that."""

    def written(self, key: str) -> datetime | None:
        """When `key` was last written or refreshed (UTC); None where it is not there."""

    def listed(self, prefix: str) -> Iterator[Stored]:
        """Every key that begins with `prefix`, a folder's name with its `/`; in no order, and never all of them in memory at once."""

    def remove(self, key: str, before: datetime) -> bool:
        """Remove what lies at `key`, for good, unless it was written or refreshed since `before`. Whether it is gone."""
