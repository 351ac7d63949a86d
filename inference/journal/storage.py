"""The few calls by which a journal reaches its disk, in one place: what survives a loss of power is decided by their order.

    Storage()       the operating system's own
"""

import os
from contextlib import suppress
from pathlib import Path


class Storage:
    """Every method raises OSError."""

    def create(self, path: Path) -> int:
        """A new file, readable by its owner only; the descriptor. Its name survives once its folder was synced."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def reopen(self, path: Path) -> int:
        """A file that an earlier process wrote, to be synced."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def allocate(self, file: int, offset: int, length: int) -> None:
        """Take space that reads as zeros, so that a later sync need not record a new size: a quarter of its time."""
        os.posix_fallocate(file, offset, length)

    def write(self, file: int, content: bytes, offset: int) -> int:
        """How many bytes were taken, as os.pwrite."""
        return os.pwrite(file, content, offset)

    def sync(self, file: int) -> None:
        """What was written before survives a loss of power once this returned. After an error it must be taken for lost: the kernel may
        have dropped it, and the next call says nothing of it."""
        os.fdatasync(file)

    def truncate(self, file: int, size: int) -> None:
        os.ftruncate(file, size)

    def close(self, file: int) -> None:
        os.close(file)

    def sync_folder(self, folder: Path) -> None:
        """The names in it, new and gone, survive."""
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Names made, renamed or removed in this folder survive a loss of power. Raises OSError."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_folders(inner: Path, outer: Path) -> None:
    """`inner` and every folder above it, up to and with `outer` and the folder that holds it."""
    for folder in (inner, *inner.parents):
        sync_folder(folder)
        if folder == outer:
            with suppress(PermissionError):  # somebody else's folder: who made `outer` there vouches for it
                sync_folder(folder.parent)
            return
