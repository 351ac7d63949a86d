"""A small file that a server reads again when it changes.

A ConfigMap's or Secret's volume is swapped by a symbolic link, an editor's file by a rename: the file behind the name is looked at, whichever
it is.
"""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from presage.errors import InputError

LARGEST = 1 << 20
"""Bytes; a line a client or a certificate, so some thousands of them."""
T = TypeVar("T")


class WatchedFile(Generic[T]):
    """One such file and what was last seen of it. parse: content and place → what it says, or InputError; what, remedy: for the sentence."""

    def __init__(self, path: Path, parse: Callable[[bytes, str], T], what: str, remedy: str) -> None:
        self.path = path
        self._parse, self._what, self._remedy = parse, what, remedy
        self._seen: tuple[int, ...] | None = None

    def read(self) -> T:
        """As it is now. Raises InputError."""
        self._seen = self._stamp()
        try:
            status = self.path.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                raise InputError(f"{self.path}: no plain file of at most {LARGEST} bytes. {self._remedy}")
            content = self.path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.path}: {self._what} cannot be read ({error.strerror}). {self._remedy}") from None
        return self._parse(content, str(self.path))

    def changed(self) -> T | None:
        """What it has become since it was last looked at, None where it is the same. Raises InputError, once a change."""
        return self.read() if self._stamp() != self._seen else None

    def _stamp(self) -> tuple[int, ...]:
        try:
            status = self.path.stat()
        except OSError:
            return ()
        return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
