"""A folder as storage: files that are whole or absent, their owner's alone, never read through a link."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from presage.files import sha256_bytes, write_bytes
from presage.package.locks import locked
from presage.storage.storage import Changed, Unreadable, Versioned


@dataclass(frozen=True)
class Folder:
    """Made on the first write; reading makes nothing."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self, key: str, limit: int) -> bytes:
        try:
            handle = os.open(self.path / key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise Unreadable(error.strerror) from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise Unreadable("it is no file")
        with os.fdopen(handle, "rb") as file:
            return file.read(limit + 1)

    def holds(self, key: str, size: int) -> bool:
        try:
            status = (self.path / key).lstat()
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == size

    def write(self, key: str, content: bytes) -> None:
        place = self.path / key
        for folder in (self.path, *reversed(place.relative_to(self.path).parents[:-1])):
            (self.path / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(place, content)

    def current(self, key: str, limit: int) -> Versioned | None:
        if not os.path.lexists(self.path / key):
            return None
        content = self.read(key, limit)
        return Versioned(content, sha256_bytes(content))

    def replace(self, key: str, content: bytes, before: Versioned | None) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.path):
            if self.current(key, max(len(content), len(before.content) if before else 0)) != before:
                raise Changed
            self.write(key, content)
