"""Level `disk`: an answer leaves after its record was synced. It survives the loss of power, and of the Pod where its volume stays.

Group commit: a worker thread writes what gathered and syncs it, once for all of it. A sync that fails is a loss: the kernel may have
dropped the pages and say nothing of it the next time, so the segment is given up and its last records are written and synced again in a new
one; where that fails, too, they are refused.
"""

from collections.abc import Sequence
from pathlib import Path

from inference.journal.group import GroupCommit
from inference.journal.levels import Then
from inference.journal.record import AnyRecord, Writer
from inference.journal.storage import Storage
from inference.journal.writer import SEGMENT_BYTES, SegmentWriter, not_written
from presage.logs import get_logger

_log = get_logger("presage.journal")


class DiskJournal:
    """See inference.journal.levels.Journal. Without a running loop `append` syncs before it returns."""

    level = "disk"

    def __init__(self, segments: SegmentWriter) -> None:
        self._segments = segments
        self._group = GroupCommit(lambda records, since: self._keep(records))

    @classmethod
    def open(cls, folder: Path, writer: Writer, segment_bytes: int = SEGMENT_BYTES, storage: Storage | None = None) -> "DiskJournal":
        """Raises StateError where another process writes there."""
        return cls(SegmentWriter.open(folder, writer, segment_bytes=segment_bytes, storage=storage, synced="writes"))

    @property
    def folder(self) -> Path:
        return self._segments.folder

    def append(self, records: Sequence[AnyRecord], then: Then) -> None:
        """`then` once the records are synced, or why they are not kept."""
        self._group.append(records, then)

    def lag(self) -> int:
        return self._segments.lag()

    def close(self) -> None:
        self._group.close()
        self._segments.close()

    def _keep(self, records: list[AnyRecord]) -> None:
        segments, first = self._segments, self._segments.ordinal
        try:
            self._write(records)
            return
        except OSError as error:
            _log.error("the journal could not be synced; a new segment is tried", folder=str(self.folder), reason=error.strerror or str(error))
            segments.give_up(again_from=first)
        try:
            self._write(records)
        except OSError as error:
            segments.give_up()
            segments.void(first, first + len(records))
            raise not_written(self.folder, error) from error

    def _write(self, records: list[AnyRecord]) -> None:
        self._segments.write(records)
        self._segments.sync()
