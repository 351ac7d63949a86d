"""Level `replicated`: an answer leaves after its record is in the event log, acknowledged by it. It survives the loss of Pod and volume.

A record is appended to the local journal first (what the level `process` does), then copied to the event log by a worker thread, one append
for all that gathered. An append that fails is tried again on a new connection for `patience` seconds; then its callers are refused, and so
is everybody until the log is back: a prediction that is kept in one place only is not given. What was refused stays in the local journal and
is copied later, so that the log's copy has no gaps; a record that is there already is never added again (`producer`, and ordinals). Of what
is here a loss of power can only take the end (a segment is synced before the next one begins), and the log gives that back.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event as Flag
from time import monotonic
from typing import NamedTuple

from inference.journal.copies import (
    Copied,
    announce_to,
    copied,
    decode,
    events,
    head_digest,
    keep_heads,
    name_replica,
    open_predictions,
    remember,
    tail_of,
)  # fmt: skip
from inference.journal.group import Cut, GroupCommit
from inference.journal.levels import Then
from inference.journal.record import AnyRecord, Writer
from inference.journal.segments import FRAME, head_bytes, read_frame, read_position, read_segment, segments
from inference.journal.storage import Storage
from inference.journal.writer import SEGMENT_BYTES, SegmentWriter, not_written
from presage.errors import PresageError, StateError
from presage.events.log import EventLog
from presage.logs import get_logger

PATIENCE = 2.0
"""Seconds that an answer waits for the event log."""
_AT_ONCE = 4 << 20
"""Bytes in one append to the log."""
_REMEMBER_EVERY = 500
_PAUSES = (0.02, 0.05, 0.1, 0.25)
_log = get_logger("presage.journal")


class _Copy(NamedTuple):
    following: int
    value: bytes


class ReplicatedJournal:
    """See inference.journal.levels.Journal. Build it with `open`; a log that cannot be reached then is waited for, and nothing is kept until
    it answers. Without a running loop `append` returns after the acknowledgement, or after `patience` seconds."""

    level = "replicated"

    def __init__(self, held: SegmentWriter, url: str, patience: float, clock: Callable[[], float] = monotonic) -> None:
        self._held, self._url, self._patience, self._clock = held, url, patience, clock
        self._head = head_digest(held.head)
        self._heads = {self._head: held.head}
        self._unsent: list[_Copy] = []
        self._log: EventLog | None = None
        self._reconciled = False
        self._since_remembered = 0
        self._stopping = Flag()
        broken = self._try_now()
        if broken is not None:
            _log.error("nothing is answered until the event log is there", reason=broken.message)
        self._group = GroupCommit(self._keep, self._send, clock=clock, broken=broken)

    @classmethod
    def open(
        cls, folder: Path, writer: Writer, url: str, *, patience: float = PATIENCE, segment_bytes: int = SEGMENT_BYTES, storage: Storage | None = None
    ) -> "ReplicatedJournal":  # fmt: skip
        """url: of the event log. Raises StateError where another process writes in the folder, UsageError where the url names no log."""
        held = SegmentWriter.open(folder, writer, segment_bytes=segment_bytes, storage=storage, synced="segments")
        try:
            name_replica(folder, url)
            return cls(held, url, patience)
        except BaseException:
            held.close()
            raise

    @property
    def folder(self) -> Path:
        return self._held.folder

    def append(self, records: Sequence[AnyRecord], then: Then) -> None:
        """`then` once the event log has acknowledged the records, or why they are not kept."""
        self._group.append(records, then)

    def lag(self) -> int:
        return self._held.lag()

    def close(self) -> None:
        """Where everything is shipped the event log may forget its copies."""
        self._stopping.set()
        self._group.close()
        try:
            if self._log is not None and self._held.lag() == 0:
                announce_to(self._url, self._held.id, self._held.ordinal, self._patience)
        except PresageError as error:
            _log.warning("the event log keeps copies of what is shipped", reason=error.message)
        self._disconnect()
        self._held.close()

    def _keep(self, records: list[AnyRecord], since: float) -> None:
        """Raises StateError where the local journal cannot have them, Cut where the event log cannot."""
        try:
            frame = self._held.write(records)
        except OSError as error:
            self._held.cut_back()
            raise not_written(self.folder, error) from error
        self._unsent.append(_Copy(self._held.ordinal, copied(self._head, frame)))
        deadline, tries = since + self._patience, 0
        while True:
            try:
                return self._send()
            except StateError as error:
                pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
                if self._clock() + pause >= deadline or self._stopping.wait(pause):
                    _log.error("records are not copied", reason=error.message, waiting=len(self._unsent))
                    raise
                tries += 1

    def _send(self) -> None:
        """Everything that the log has not acknowledged. Raises Cut; then the connection is gone."""
        try:
            log = self._log if self._log is not None else self._connect()
            while self._unsent:
                part = self._first_part()
                positions = log.append([(self._held.id, copy.value) for copy in part])
                del self._unsent[: len(part)]
                self._since_remembered += len(part)
                if self._since_remembered >= _REMEMBER_EVERY:
                    remember(log, self._held.id, positions[-1])
                    self._since_remembered = 0
        except PresageError as error:
            self._disconnect()
            raise Cut(error.message) from error

    def _first_part(self) -> list[_Copy]:
        size = 0
        for index, copy in enumerate(self._unsent):
            size += len(copy.value)
            if index and size > _AT_ONCE:
                return self._unsent[:index]
        return list(self._unsent)

    def _connect(self) -> EventLog:
        """A new opening; what the log has already (its acknowledgement was lost) is taken off what is to be sent."""
        log = open_predictions(self._url, self._held.id, self._patience)
        self._log = log
        tail = tail_of(log, self._held.id)
        if tail.last is not None:
            remember(log, self._held.id, tail.last)
        if tail.following is None:
            announce_to(self._url, self._held.id, read_position(self.folder).records, self._patience)
        if not self._reconciled:
            self._reconcile(log, tail.following or 0)
            self._reconciled = True
        keep_heads(self._url, self._heads, self._patience)
        self._unsent = [copy for copy in self._unsent if copy.following > (tail.following or 0)]
        return log

    def _reconcile(self, log: EventLog, known: int) -> None:
        """Once, before the first record: what an earlier process wrote here and could not copy is copied; what a loss of power took here
        and the log still has is written here again."""
        held = self._held
        if known > held.ordinal:
            self._take_back(log, known)
            return
        known = max(known, read_position(self.folder).records)
        for _, path in segments(self.folder):
            try:
                writer, frames = read_segment(path)
            except FileNotFoundError:  # shipped meanwhile
                continue
            if writer is None:
                continue
            head = head_bytes(writer)
            for frame in frames:
                if frame.following > known:
                    self._heads[head_digest(head)] = head
                    self._unsent.append(_Copy(frame.following, copied(head_digest(head), frame.content)))
                    known = frame.following

    def _take_back(self, log: EventLog, known: int) -> None:
        held = self._held
        _log.warning("the event log has records that this folder lost", first=held.ordinal, count=known - held.ordinal)
        for partition in log.bounds():
            for event in events(log, partition):
                value = decode(event.value) if event.key == held.id else None
                if isinstance(value, Copied) and value.following > held.ordinal:
                    frame = read_frame(value.frame)
                    if frame.ordinal != held.ordinal:
                        raise StateError(f"{self.folder}: {held.ordinal} is due from the event log, which goes on with {frame.ordinal}. Use an empty folder.")
                    self._write_back(value.frame, FRAME.unpack_from(value.frame)[2])
        held.ordinal = max(held.ordinal, known)  # what is shipped the log has forgotten

    def _write_back(self, frame: bytes, records: int) -> None:
        try:
            self._held.write_frame(frame, records)
        except OSError as error:
            self._held.cut_back()
            raise not_written(self.folder, error) from error

    def _try_now(self) -> StateError | None:
        try:
            self._send()
        except StateError as error:
            return error
        return None

    def _disconnect(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
