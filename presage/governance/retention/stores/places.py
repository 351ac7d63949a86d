"""Files and folders that go at once or not at all, and what proves them."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from presage.files import sha256_file
from presage.governance.audit.durable import synced_folder

_ASIDE = ".retired."


def folder_digest(folder: Path) -> str:
    """`sha256:<hex>` over every file's place and content, in order of place; a link counts by where it points."""
    total = hashlib.sha256()
    for place in _walk(folder):
        content = f"link {place.readlink()}" if place.is_symlink() else sha256_file(place)
        total.update(f"{place.relative_to(folder).as_posix()}\0{content}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{total.hexdigest()}"


def folder_bytes(folder: Path) -> int:
    return sum(place.lstat().st_size for place in _walk(folder))


def remove_folder(folder: Path) -> None:
    """It steps aside at once, and goes from there; called again it finishes that."""
    aside = folder.with_name(f"{_ASIDE}{folder.name}")
    if aside.exists():
        shutil.rmtree(aside)
    if folder.is_dir():
        folder.rename(aside)
        synced_folder(folder.parent)
        shutil.rmtree(aside)
    if folder.parent.is_dir():
        synced_folder(folder.parent)


def remove_file(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    if path.parent.is_dir():
        synced_folder(path.parent)


def _walk(folder: Path) -> Iterator[Path]:
    """Files and links, a folder at a time in memory, in an order of its own."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)
