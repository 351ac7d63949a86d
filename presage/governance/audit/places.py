"""How far a log was read, and whether the log is still the one that was.

    place = read_place(kept)
    if not place.goes_on(handle):
        place = place.begun_anew(handle)

A log is appended to, emptied or replaced. Its size does not tell: emptied, it may have grown past the old place by the next reading. So a place keeps a
digest of the bytes before it; where others stand there the log was begun anew, and gets another generation, which no entry of before names. A log that was
cut and keeps its first line is not read again.
"""

import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from presage.files import read_json, sha256_bytes, write_json

_BEFORE = 512
"""Bytes before a place that are looked at: a line of a proxy has its time, its port and its request's number in these."""
_FIRST = 4096


@dataclass(frozen=True)
class Place:
    """generation: of the log, since it was last begun anew; mark: of the bytes before `to`; first: of the first line.

    writing, mark_writing: the same of up to where entries are being written, None where none are.
    """

    inode: int = 0
    generation: str = ""
    to: int = 0
    mark: str = ""
    first: str = ""
    writing: int | None = None
    mark_writing: str = ""

    def goes_on(self, handle: BinaryIO) -> bool:
        """Whether all that was read stands in the log as it did."""
        return self._is(handle, self.to, self.mark) and (self.writing is None or self._is(handle, self.writing, self.mark_writing))

    def _is(self, handle: BinaryIO, to: int, mark: str) -> bool:
        stat = os.fstat(handle.fileno())
        return bool(self.generation) and stat.st_ino == self.inode and stat.st_size >= to and mark_at(handle, to) == mark

    def begun_anew(self, handle: BinaryIO) -> "Place":
        """From the log's beginning; from its end, where it was cut and all it holds was read."""
        stat = os.fstat(handle.fileno())
        made = Place(stat.st_ino, secrets.token_hex(8), mark=mark_at(handle, 0))
        read = self.to if self.writing is None else self.writing
        if stat.st_ino == self.inode and stat.st_size < read and self.first and first_of(handle) == self.first:
            return replace(made, to=stat.st_size, mark=mark_at(handle, stat.st_size), first=self.first)
        return made

    def written(self) -> "Place":
        return self if self.writing is None else replace(self, to=self.writing, mark=self.mark_writing, writing=None, mark_writing="")


def mark_at(handle: BinaryIO, to: int) -> str:
    begin = max(0, to - _BEFORE)
    handle.seek(begin)
    return sha256_bytes(handle.read(to - begin))


def first_of(handle: BinaryIO) -> str:
    handle.seek(0)
    return sha256_bytes(handle.readline(_FIRST))


def read_place(path: Path) -> Place:
    try:
        return Place(**read_json(path))
    except (OSError, ValueError, TypeError):
        return Place()


def write_place(path: Path, place: Place) -> None:
    write_json(path, asdict(place))
