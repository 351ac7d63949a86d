"""Appends records to the journal: one write for all answers that are ready together, before any of them leaves.

Level `process`: the write reaches the kernel, so a killed process loses nothing that was answered. A write that fails or
comes up short (a full disk) is cut off again and reported: nothing is answered that is not in the journal.

    journal = Journal.open(folder, Writer("incident", "7", digest, "eu-central"))
    journal.append(records)        # raises StateError
"""

import fcntl
import os
import secrets
from pathlib import Path

from inference.journal.record import Record, Writer
from inference.journal.segments import frame_bytes, head_bytes, next_ordinal, read_position, segment_path, segments
from presage.errors import StateError
from presage.files import write_bytes

SEGMENT_BYTES = 16 << 20


class Journal:
    """One process's hold on a journal folder. Build it with `Journal.open`."""

    def __init__(self, folder: Path, writer: Writer, lock: int, *, number: int, ordinal: int, segment_bytes: int) -> None:
        self.folder = folder
        self.ordinal = ordinal
        self._head = head_bytes(writer)
        self._lock = lock
        self._number = number
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._size = 0

    @classmethod
    def open(cls, folder: Path, writer: Writer, segment_bytes: int = SEGMENT_BYTES) -> "Journal":
        """Make the folder (0700) or carry on in it, in a new segment. Raises StateError where another process writes there."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{folder} cannot hold the journal: {error.strerror}. Name another folder with --journal_dir.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StateError(f"{folder}: another server writes this journal. Give each server a --journal_dir of its own.") from None
        if not (folder / "journal.id").exists():
            write_bytes(folder / "journal.id", secrets.token_hex(6).encode())
        known = [number for number, _ in segments(folder)]
        number = max([*known, read_position(folder).number])
        return cls(folder, writer, lock, number=number, ordinal=next_ordinal(folder), segment_bytes=segment_bytes)

    def append(self, records: list[Record]) -> None:
        """One write; when it returns, a killed process cannot lose these records. Raises StateError, and then none is kept."""
        frame = frame_bytes(records, self.ordinal)
        try:
            file = self._file if self._file is not None and self._size < self._segment_bytes else self._next_segment()
            written = os.write(file, frame)
            if written != len(frame):
                raise OSError(f"{written} of {len(frame)} bytes were written")
        except OSError as error:
            self._cut_back()
            raise StateError(f"{self.folder}: the journal cannot be written ({error.strerror or error}). Free some space.") from error
        self._size += len(frame)
        self.ordinal += len(records)

    def lag(self) -> int:
        """Records that the prediction log has not yet."""
        return self.ordinal - read_position(self.folder).records

    def close(self) -> None:
        self._drop_segment()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _next_segment(self) -> int:
        self._drop_segment()
        self._number += 1
        path = segment_path(self.folder, self._number)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file, self._size = file, len(self._head)
        if os.write(file, self._head) != len(self._head):
            path.unlink()
            raise OSError("the segment's head was not written whole")
        return file

    def _cut_back(self) -> None:
        """Take off what a short write left; a segment that cannot be cut is closed, and reading stops at its unfinished frame."""
        if self._file is not None:
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                self._drop_segment()

    def _drop_segment(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
