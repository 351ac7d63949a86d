"""How the shipper takes records off a journal: in rounds, each the stretch behind the last one.

    while (part := next_round(folder, 50_000)) is not None:
        begin_round(folder, part)
        …write files named by part.name…
        finish_round(folder, part)

A round is named by the ordinal at which it begins. One that was written and not finished is begun again at the same place, with the same
records first, so its files replace what the first try left: nothing is in the log twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inference.journal.copies import announce
from inference.journal.record import Writer
from inference.journal.segments import Frame, Loss, Position, journal_id, kept_from, read_losses, read_position, read_segment, segments, write_position
from inference.journal.storage import sync_folder
from presage.errors import InputError


@dataclass(frozen=True)
class Round:
    """name: of its files, without an ending; begin: ordinal of its first record, or void; frames: of one segment, none of it shipped before."""

    name: str
    begin: int
    writer: Writer
    frames: list[Frame]
    after: Position

    @property
    def records(self) -> int:
        return self.after.records - self.begin


def next_round(folder: Path, most: int) -> Round | None:
    """What comes next, `most` records or a frame more; None where everything is shipped. Segments that are through are removed, where nobody keeps them.

    Raises InputError where records are missing that nobody noted as lost: nothing is skipped in silence.
    """
    while True:
        position, losses = read_position(folder), {loss.first: loss for loss in read_losses(folder)}
        _release(folder, position.number)
        pending = [(number, path) for number, path in segments(folder) if number >= position.number]
        if not pending:
            return None
        number, path = pending[0]
        offset = position.offset if number == position.number else 0
        writer, frames = read_segment(path, offset)
        chunk, following = _contiguous(path, frames, position.records, losses, most)
        if writer is not None and chunk:
            name = f"{journal_id(folder)}-{position.records:012d}"
            return Round(name, position.records, writer, chunk, Position(number, chunk[-1].end, following))
        later = next((frame for _, path in pending[1:] for frame in read_segment(path)[1]), None)
        if later is None:
            return None
        _follows(pending[1][1], later, position.records, losses)
        _leave(folder, path, Position(pending[1][0], 0, position.records), damaged=position.records in losses and _unread(path, offset))


def begin_round(folder: Path, part: Round) -> None:
    """Before a file of it is written. Where the journal is copied elsewhere its copy learns where the round begins. Raises StateError."""
    announce(folder, journal_id(folder), part.begin)


def finish_round(folder: Path, part: Round) -> None:
    """Its files are written and synced: never ship it again."""
    write_position(folder, part.after)


def _contiguous(path: Path, frames: Iterator[Frame], expected: int, losses: dict[int, Loss], most: int) -> tuple[list[Frame], int]:
    """Frames that follow on `expected`, and the ordinal after them; those that were shipped already (written again after a failed sync) are dropped."""
    chunk, count = list[Frame](), 0
    for frame in frames:
        if frame.following <= expected:
            continue
        _follows(path, frame, expected, losses)
        chunk.append(frame)
        expected = frame.following
        count += frame.length
        if count >= most:
            break
    return chunk, expected


def _follows(path: Path, frame: Frame, expected: int, losses: dict[int, Loss]) -> None:
    if expected in losses and frame.ordinal >= expected + losses[expected].count:
        expected += losses[expected].count
    if frame.following > expected and (frame.ordinal > expected or (frame.ordinal < expected and not frame.void)):
        raise InputError(
            f"{path}: its records go on with {frame.ordinal}, {expected} is due: a segment is damaged or missing. Restore the journal folder, "
            "or start its server again: that writes down what is lost and goes on."
        )


def _unread(path: Path, offset: int) -> bool:
    """Whether something lies behind the last whole frame."""
    end = max((frame.end for frame in read_segment(path, offset)[1]), default=offset)
    return bool(path.read_bytes()[end:].strip(b"\0"))


def _leave(folder: Path, path: Path, after: Position, *, damaged: bool) -> None:
    """Go on to the next segment. damaged: it is kept aside, for whoever wants to look into it."""
    write_position(folder, after)
    if damaged:
        path.rename(path.with_suffix(".damaged"))
        sync_folder(folder)


def _release(folder: Path, shipped: int) -> None:
    """Remove segments before `shipped`, the first that is not through, and before the first that a door keeps."""
    kept = kept_from(folder)
    through = [path for number, path in segments(folder) if number < (shipped if kept is None else min(shipped, kept))]
    for path in through:
        path.unlink(missing_ok=True)
    if through:
        sync_folder(folder)
