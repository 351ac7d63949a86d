"""Appends records to a journal folder; and the level `process` over it.

Level `process`: one write for all answers that are ready together, before any of them leaves. The write reaches the kernel, so a killed
process loses nothing that was answered. A write that fails or comes up short (a full disk) is cut off again and reported: nothing is
answered that is not in the journal.

    journal = Journal.open(folder, Writer("incident", "7", digest, "eu-central"))
    journal.append(records, then)
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from inference.journal.record import AnyRecord, Writer
from inference.journal.segments import frame_bytes, head_bytes, next_ordinal, note_losses, read_position, segment_path, segments, void_bytes
from inference.journal.storage import Storage, sync_folder
from presage.errors import StateError
from presage.files import write_bytes
from presage.logs import get_logger

SEGMENT_BYTES = 16 << 20
AHEAD_BYTES = 1 << 20
"""How much space is taken at a time where every write is synced."""
Synced = Literal["writes", "segments", "nothing"]
_log = get_logger("presage.journal")


class SegmentWriter:
    """One process's hold on a journal folder: frames, one behind the other. Build it with `SegmentWriter.open`.

    ordinal: of the next record. id: the journal's name. head: what stands before the frames of each segment.
    synced: what will be synced. `writes`: `sync` follows each of them; then space is taken ahead. `segments`: none is begun before the
    one before it survives, so that a loss of power can only take the end of the journal. `nothing`: as the name says.
    """

    def __init__(self, folder: Path, writer: Writer, lock: int, *, storage: Storage, synced: Synced, segment_bytes: int) -> None:
        known = [number for number, _ in segments(folder)]
        self.folder = folder
        self.id = (folder / "journal.id").read_text().strip()
        self.head = head_bytes(writer)
        self.ordinal = next_ordinal(folder)
        self._number = max([*known, read_position(folder).number])
        self._lock, self._storage, self._synced, self._segment_bytes = lock, storage, synced, segment_bytes
        self._file: int | None = None
        self._size = self._allocated = 0
        self._void: int | None = None
        if synced != "nothing":
            self._sync_earlier()

    @classmethod
    def open(
        cls, folder: Path, writer: Writer, *, storage: Storage | None = None, synced: Synced = "nothing", segment_bytes: int = SEGMENT_BYTES
    ) -> "SegmentWriter":  # fmt: skip
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
        try:
            if not (folder / "journal.id").exists():
                write_bytes(folder / "journal.id", secrets.token_hex(6).encode())
                sync_folder(folder)
            with suppress(PermissionError):  # somebody else's folder: who made ours there vouches for its name
                sync_folder(folder.parent)
            for loss in note_losses(folder):
                _log.error("records of the journal are lost", journal=str(folder), first=loss.first, count=loss.count)
            return cls(folder, writer, lock, storage=storage or Storage(), synced=synced, segment_bytes=segment_bytes)
        except BaseException:
            os.close(lock)
            raise

    def write(self, records: Sequence[AnyRecord]) -> bytes:
        """One frame, in one write; the frame. Raises OSError: then it is not whole, and its ordinals are free."""
        frame = frame_bytes(records, self.ordinal)
        self.write_frame(frame, len(records))
        return frame

    def write_frame(self, frame: bytes, records: int) -> None:
        """A frame made elsewhere, whose ordinals follow on ours. Raises OSError."""
        if self._file is None or self._size >= self._segment_bytes:
            self._next_segment()
        self._put(frame)
        self.ordinal += records

    def sync(self) -> None:
        """What was written survives a loss of power. Raises OSError; then `give_up` this segment."""
        if self._file is not None:
            self._storage.sync(self._file)
            self._void = None

    def cut_back(self) -> None:
        """Take off what a short write left; a segment that cannot be cut is left, and reading stops at its unfinished frame."""
        if self._file is not None:
            try:
                self._storage.truncate(self._file, self._size)
                self._allocated = self._size
            except OSError:
                self.give_up()

    def give_up(self, again_from: int | None = None) -> None:
        """Never write to this segment again. again_from: records from this ordinal on will be written again, to the next one."""
        if self._file is not None:
            with suppress(OSError):
                self._storage.close(self._file)
            self._file = None
        if again_from is not None:
            self.ordinal = again_from

    def void(self, first: int, following: int) -> None:
        """Records from `first` on were refused, though a reader may have seen them: their ordinals are never given again. The next
        segment says so."""
        self._void = first if self._void is None else self._void
        self.ordinal = following

    def lag(self) -> int:
        """Records that the prediction log has not yet."""
        return max(0, self.ordinal - read_position(self.folder).records)

    def close(self) -> None:
        if self._file is not None and self._allocated > self._size:
            with suppress(OSError):
                self._storage.truncate(self._file, self._size)
        self.give_up()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _next_segment(self) -> None:
        if self._file is not None:
            if self._allocated > self._size:
                self._storage.truncate(self._file, self._size)
            if self._synced == "segments":
                self._storage.sync(self._file)
        self.give_up()
        self._number += 1
        path = segment_path(self.folder, self._number)
        self._file, self._size, self._allocated = self._storage.create(path), 0, 0
        try:
            if self._synced != "nothing":
                self._storage.sync_folder(self.folder)
            self._put(self.head)
            if self._void is not None:
                self._put(void_bytes(self._void, self.ordinal - self._void))
        except OSError:
            self.give_up()
            with suppress(OSError):
                path.unlink()
            raise

    def _sync_earlier(self) -> None:
        """What a process wrote that was killed before it synced. Where `writes` are synced nobody was answered before, so it may fail; else
        raises StateError."""
        try:
            for _, path in segments(self.folder):
                file = self._storage.reopen(path)
                try:
                    self._storage.sync(file)
                finally:
                    self._storage.close(file)
        except FileNotFoundError:  # shipped meanwhile
            return
        except OSError as error:
            if self._synced == "segments":
                raise not_written(self.folder, error) from error
            _log.warning("an earlier segment could not be synced", folder=str(self.folder), reason=error.strerror or str(error))

    def _put(self, content: bytes) -> None:
        assert self._file is not None
        if self._synced == "writes" and self._size + len(content) > self._allocated:
            self._take_space(self._file, len(content))
        written = self._storage.write(self._file, content, self._size)
        if written != len(content):
            raise OSError(f"{written} of {len(content)} bytes were written")
        self._size += len(content)

    def _take_space(self, file: int, needed: int) -> None:
        """Ahead of the writes; where there is none, or this file system cannot, they take it as they come."""
        try:
            self._storage.allocate(file, self._size, max(AHEAD_BYTES, needed))
            self._allocated = self._size + max(AHEAD_BYTES, needed)
        except OSError:
            self._allocated = 0
            with suppress(OSError):  # a part of it may have been taken
                self._storage.truncate(file, self._size)


class Journal:
    """Level `process`. See inference.journal.levels.Journal."""

    level = "process"

    def __init__(self, segments: SegmentWriter) -> None:
        self._segments = segments

    @classmethod
    def open(cls, folder: Path, writer: Writer, segment_bytes: int = SEGMENT_BYTES, storage: Storage | None = None) -> "Journal":
        """Raises StateError where another process writes there."""
        return cls(SegmentWriter.open(folder, writer, segment_bytes=segment_bytes, storage=storage))

    @property
    def folder(self) -> Path:
        return self._segments.folder

    @property
    def ordinal(self) -> int:
        """Of the next record."""
        return self._segments.ordinal

    def append(self, records: Sequence[AnyRecord], then: Callable[[StateError | None], None]) -> None:
        """One write; then a killed process cannot lose these records. `then` is called before this returns."""
        try:
            self.write(records)
        except StateError as error:
            then(error)
            return
        then(None)

    def write(self, records: Sequence[AnyRecord]) -> None:
        """One write. Raises StateError, and then none is kept."""
        try:
            self._segments.write(records)
        except OSError as error:
            self._segments.cut_back()
            raise not_written(self.folder, error) from error

    def lag(self) -> int:
        """Records that the prediction log has not yet."""
        return self._segments.lag()

    def close(self) -> None:
        self._segments.close()


def not_written(folder: Path, error: OSError) -> StateError:
    """Why records were not kept, as a sentence."""
    return StateError(f"{folder}: the journal cannot be written ({error.strerror or error}). Free some space.")
