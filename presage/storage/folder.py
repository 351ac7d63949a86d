"""A folder as storage: files that are whole or absent, their owner's alone, never read through a link."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from presage.files import sha256_bytes, write_bytes
from presage.package.locks import locked
from presage.storage.storage import Changed, Stored, Unreadable, Versioned

_ASIDE = ".removing."


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

    def refresh(self, key: str) -> bool:
        try:
            os.utime(self.path / key, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def written(self, key: str) -> datetime | None:
        try:
            return datetime.fromtimestamp((self.path / key).lstat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def listed(self, prefix: str) -> Iterator[Stored]:
        """What a writer that was killed left aside is listed, too."""
        for folder, _, names in os.walk(self.path / prefix):
            for name in names:
                place = Path(folder) / name
                with suppress(FileNotFoundError):
                    status = place.lstat()
                    yield Stored(place.relative_to(self.path).as_posix(), status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def remove(self, key: str, before: datetime) -> bool:
        """It steps aside before it is judged: a writer that wants it meanwhile finds nothing, and writes it again. What a kill left aside is
        judged as well, so that calling again finishes it."""
        place = self.path / key
        aside = place.with_name(place.name if place.name.startswith(_ASIDE) else f"{_ASIDE}{place.name}")
        try:
            if place.lstat().st_mtime >= before.timestamp():  # it need not even step aside
                return False
            place.rename(aside)
        except FileNotFoundError:
            if not aside.exists():
                return True
        if aside.lstat().st_mtime >= before.timestamp():
            if place != aside and not place.exists():
                aside.rename(place)
            return False
        aside.unlink()
        if place.parent.name.startswith("."):
            with suppress(OSError):  # a writer's folder aside, empty now
                place.parent.rmdir()
        return True
