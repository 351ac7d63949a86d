"""Locks between processes: held as long as the holder lives, gone with it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from presage.errors import PlaneError


@contextmanager
def held(path: Path, sentence: str) -> Iterator[None]:
    """Hold the lock at `path`; PlaneError(sentence) at once where another process holds it. Children do not inherit it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlaneError(sentence) from None
        with suppress(OSError):  # who holds it is only told where there is room to write it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> int | None:
    """The process that holds the lock at `path`; None where nobody does."""
    try:
        with path.open("rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(handle.read() or 0) or None
            return None
    except FileNotFoundError:
        return None
