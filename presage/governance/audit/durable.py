"""Folders whose names survive a power cut."""

import os
from pathlib import Path


def made_folder(folder: Path) -> None:
    """There afterwards, 0700 where it was not."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        synced_folder(folder.parent)


def synced_folder(folder: Path) -> None:
    """What was made, renamed or removed in it is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
