"""The interface under a release store: keys with `/` in them, whole contents, and one way to replace a document safely.

    storage.write("blobs/sha256/0f…", content)          whole or not at all
    before = storage.current("index.json", limit)
    storage.replace("index.json", content, before)      raises Changed where another writer was first

There is no way to list or to remove: a store is only added to, and its index says what counts.

    StorageError (a PresageError)   the place cannot be used: out, refusing, full; its message is for a person
    Unreadable                      one key cannot be read: not there, or no plain file
    Changed                         what was to be replaced is another by now
"""

from dataclasses import dataclass
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
