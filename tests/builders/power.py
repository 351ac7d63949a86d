"""A disk whose power can be cut: every call is carried out and written down, and any moment of it can be looked at as a cut would leave it.

What was synced is there. Of what was written and not synced any 512-byte sector may be there or not, in any order, with or without the size
that it gave the file; sectors that are missing read as zeros. A file whose folder was not synced since may be missing whole. After a
failed sync the system takes what it could not write for written: a later sync says nothing of it, and it may be missing for ever.
"""

import errno
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from inference.journal.storage import Storage

SECTOR = 512


@dataclass
class _Disk:
    """A file as it would be after a cut. kept: survives; open: operations since, each of which may."""

    name_kept: bool = False
    kept: bytearray = field(default_factory=bytearray)
    open: list[tuple[str, int, bytes]] = field(default_factory=list)
    lost: list[tuple[str, int, bytes]] = field(default_factory=list)

    def synced(self) -> None:
        for operation in self.open:
            _apply(self.kept, operation)
        self.open.clear()

    def left(self, luck: Random) -> bytes:
        content = bytearray(self.kept)
        for name, offset, data in (*self.lost, *self.open):
            if name != "write":
                if luck.random() < 0.5:
                    _apply(content, (name, offset, data))
                continue
            begin = offset
            while begin < offset + len(data):
                end = min(offset + len(data), (begin // SECTOR + 1) * SECTOR)
                if luck.random() < 0.5:
                    _apply(content, ("write", begin, data[begin - offset : end - offset]))
                begin = end
        return bytes(content)


def _apply(content: bytearray, operation: tuple[str, int, bytes]) -> None:
    name, offset, data = operation
    if name == "write":
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data
    elif name == "truncate":
        content.extend(bytes(max(0, offset - len(content))))
        del content[offset:]
    else:  # space taken ahead
        content.extend(bytes(max(0, offset - len(content))))


class CuttableStorage(Storage):
    """failing: asked before each write and sync (`write` or `sync`): True = it fails with EIO; a failing write takes half of it first."""

    def __init__(self, failing: Callable[[str], bool] = lambda call: False) -> None:
        self._failing = failing
        self._files: dict[int, Path] = {}
        self._lock = threading.Lock()
        self.events: list[tuple[str, Path, int, bytes]] = []
        self.answers: list[tuple[int, Sequence[str]]] = []

    def answered(self, names: Sequence[str]) -> None:
        """These answers leave now."""
        with self._lock:
            self.answers.append((len(self.events), names))

    def answered_before(self, cut: int) -> list[str]:
        """What had left when the power went, after `cut` of the calls."""
        return [name for at, names in self.answers if at <= cut for name in names]

    @property
    def created(self) -> list[Path]:
        """Every file that was made."""
        return [path for name, path, _, _ in self.events if name == "create"]

    def create(self, path: Path) -> int:
        file = super().create(path)
        self._files[file] = path
        self._note("create", path)
        return file

    def reopen(self, path: Path) -> int:
        file = super().reopen(path)
        self._files[file] = path
        return file

    def allocate(self, file: int, offset: int, length: int) -> None:
        super().allocate(file, offset, length)
        self._note("allocate", self._files[file], offset + length)

    def write(self, file: int, content: bytes, offset: int) -> int:
        if self._failing("write"):
            taken = super().write(file, content[: len(content) // 2], offset)
            self._note("write", self._files[file], offset, content[:taken])
            return taken
        taken = super().write(file, content, offset)
        self._note("write", self._files[file], offset, content[:taken])
        return taken

    def sync(self, file: int) -> None:
        if self._failing("sync"):
            self._note("failed", self._files[file])
            raise OSError(errno.EIO, "Input/output error")
        self._note("sync", self._files[file])  # nothing is really synced: it is the order that counts, and the real disk is another test's

    def truncate(self, file: int, size: int) -> None:
        super().truncate(file, size)
        self._note("truncate", self._files[file], size)

    def sync_folder(self, folder: Path) -> None:
        self._note("folder", folder)

    def _note(self, name: str, path: Path, offset: int = 0, data: bytes = b"") -> None:
        with self._lock:
            self.events.append((name, path, offset, bytes(data)))

    def after_cut(self, cut: int, luck: Random) -> dict[str, bytes]:
        """Names and contents in the folder when power is back, the power having gone after `cut` of the calls."""
        disks: dict[Path, _Disk] = {}
        for name, path, offset, data in self.events[:cut]:
            if name not in {"folder", "create"} and path not in disks:
                continue  # an earlier process wrote it, and it survived
            if name == "create":
                disks[path] = _Disk()
            elif name == "folder":
                for file, disk in disks.items():
                    disk.name_kept |= file.parent == path
            elif name == "sync":
                disks[path].synced()
            elif name == "failed":
                disks[path].lost += disks[path].open
                disks[path].open.clear()
            else:
                disks[path].open.append((name, offset, data))
        return {path.name: disk.left(luck) for path, disk in disks.items() if disk.name_kept or luck.random() < 0.5}
