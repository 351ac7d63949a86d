"""How a segment of the journal looks, and how it is read again.

A journal is a folder; `journal.id` names it for ever. Segments `<id>.<number>.journal` are written one after the other:

    head     4 bytes length, msgpack `Writer`
    frames   20 bytes (length, CRC-32, records, ordinal of the first record in this journal), msgpack list of `AnyRecord`
    zeros    where space was taken ahead

A process that dies leaves at most one unfinished frame, at the end of its last segment: no answer left before its frame
was whole, so reading stops there. A frame with an empty list is a void: its ordinals were given to records that were refused.
A segment that could not be synced is left as it is and its last records are written again, with their ordinals, to the next one:
so a reader drops what it has already (`journal/rounds.py` does). `shipped.json` says how far the prediction log has come;
`losses.json` says which records a loss of power or damage took, noticed when the journal was opened next.
"""

import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from inference.journal.record import AnyRecord, Writer
from inference.journal.storage import sync_folder
from presage.errors import InputError, StateError
from presage.files import read_json, write_json

FRAME = struct.Struct("<IIIQ")
_HEAD = struct.Struct("<I")
_decode_head = msgspec.msgpack.Decoder(Writer).decode
_decode_records = msgspec.msgpack.Decoder(list[AnyRecord]).decode
_decode_rows = msgspec.msgpack.Decoder(list[list[Any]]).decode
_encode = msgspec.msgpack.Encoder().encode
_NOTHING = _encode([])


class Frame(NamedTuple):
    """One write: `ordinal` of its first record, byte `offset` where it begins and `end` where the next one does;
    `length`: of its records, or of the ordinals that it voids."""

    offset: int
    end: int
    ordinal: int
    length: int
    payload: bytes

    @property
    def records(self) -> list[AnyRecord]:
        return _decode_records(self.payload)

    @property
    def rows(self) -> list[list[Any]]:
        """The same records as plain lists, fields in the order of their kind, behind its tag: a third of the cost where they become columns."""
        return _decode_rows(self.payload)

    @property
    def following(self) -> int:
        """The ordinal after its last record's."""
        return self.ordinal + self.length

    @property
    def void(self) -> bool:
        """Whether its ordinals are nobody's."""
        return self.payload == _NOTHING

    @property
    def content(self) -> bytes:
        """The frame as it lies in a segment."""
        return FRAME.pack(len(self.payload), zlib.crc32(self.payload), self.length, self.ordinal) + self.payload


@dataclass(frozen=True)
class Position:
    """How far a reader has come: `records` of the journal are shipped, up to `offset` of segment `number`."""

    number: int = 0
    offset: int = 0
    records: int = 0


@dataclass(frozen=True)
class Loss:
    """Records that no segment holds. first: ordinal; noticed: Unix seconds."""

    first: int
    count: int
    noticed: float


def head_bytes(writer: Writer) -> bytes:
    body = _encode(writer)
    return _HEAD.pack(len(body)) + body


def read_head(content: bytes) -> Writer:
    """Of `head_bytes`."""
    return _decode_head(content[_HEAD.size :])


def frame_bytes(records: Sequence[AnyRecord], ordinal: int) -> bytes:
    body = _encode(records)
    return FRAME.pack(len(body), zlib.crc32(body), len(records), ordinal) + body


def void_bytes(ordinal: int, count: int) -> bytes:
    """A frame that says: these ordinals are nobody's."""
    return FRAME.pack(len(_NOTHING), zlib.crc32(_NOTHING), count, ordinal) + _NOTHING


def read_frame(content: bytes) -> Frame:
    """The one frame that `content` is. Raises InputError where it is not whole."""
    frame = next(_frames(content, 0), None)
    if frame is None or frame.end != len(content):
        raise InputError("a frame of the journal is not whole. Restore it from where it was copied.")
    return frame


def journal_id(folder: Path) -> str:
    """The journal's own name, made with the journal."""
    try:
        return (folder / "journal.id").read_text().strip()
    except FileNotFoundError:
        raise StateError(f"{folder}: no journal lies here. Name the folder that a server's --journal_dir wrote.") from None


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{journal_id(folder)}.{number:08d}.journal"


def segments(folder: Path) -> list[tuple[int, Path]]:
    """(number, path) of every segment, oldest first."""
    return sorted((int(path.name.split(".")[1]), path) for path in folder.glob("*.journal"))


def read_segment(path: Path, offset: int = 0) -> tuple[Writer | None, Iterator[Frame]]:
    """Head and whole frames from `offset` (0 = the first). A head that is not whole yet: None and no frame."""
    content = path.read_bytes()
    if len(content) < _HEAD.size or len(content) < (start := _HEAD.size + _HEAD.unpack_from(content)[0]) or start == _HEAD.size:
        return None, iter(())
    try:
        writer = _decode_head(content[_HEAD.size : start])
    except msgspec.DecodeError:  # a loss of power left the size and not the content
        return None, iter(())
    return writer, _frames(content, max(start, offset))


def _frames(content: bytes, offset: int) -> Iterator[Frame]:
    unpack, size, whole = FRAME.unpack_from, FRAME.size, len(content)
    while offset + size <= whole:
        length, checksum, count, ordinal = unpack(content, offset)
        begin = offset + size
        payload = content[begin : begin + length]
        if not length or len(payload) < length or zlib.crc32(payload) != checksum:  # no list is empty bytes: zeros are no frame
            return
        yield Frame(offset, begin + length, ordinal, count, payload)
        offset = begin + length


def read_position(folder: Path) -> Position:
    """How far the prediction log has come; the beginning where nothing was shipped."""
    try:
        return Position(**read_json(folder / "shipped.json"))
    except FileNotFoundError:
        return Position()


def write_position(folder: Path, position: Position) -> None:
    """Survives a loss of power: segments are removed by it."""
    write_json(folder / "shipped.json", position)
    sync_folder(folder)


def kept_from(folder: Path) -> int | None:
    """Number of the first segment that stays when it is shipped; None where none does (journal/once.py)."""
    try:
        return int(read_json(folder / "once.json")["from"])
    except FileNotFoundError:
        return None


def keep_from(folder: Path, number: int) -> None:
    write_json(folder / "once.json", {"from": number})


def read_losses(folder: Path) -> list[Loss]:
    """What was noticed as lost, oldest first."""
    try:
        return [Loss(**loss) for loss in read_json(folder / "losses.json")]
    except FileNotFoundError:
        return []


def note_losses(folder: Path, wall: Callable[[], float] = time.time) -> list[Loss]:
    """Look for records that no segment holds and write down those not noticed before; the new ones. Only a writer that opens the journal
    may do this: between the segments of a running one nothing is missing."""
    known, position = read_losses(folder), read_position(folder)
    accepted = {loss.first: loss.count for loss in known}
    expected, new = position.records, list[Loss]()
    for number, path in segments(folder):
        if number < position.number:
            continue
        for frame in read_segment(path, position.offset if number == position.number else 0)[1]:
            if frame.ordinal >= expected + accepted.get(expected, 0):
                expected += accepted.get(expected, 0)
            if frame.ordinal > expected:
                new.append(Loss(expected, frame.ordinal - expected, wall()))
            expected = max(expected, frame.following)
    if new:
        write_json(folder / "losses.json", [asdict(loss) for loss in (*known, *new)])
        sync_folder(folder)
    return new


def next_ordinal(folder: Path) -> int:
    """The ordinal that the journal's next record gets: never one that the prediction log has seen."""
    shipped = read_position(folder).records
    for _, path in reversed(segments(folder)):  # the last one may hold no frame yet
        last = deque(read_segment(path)[1], maxlen=1)
        if last:
            return max(shipped, last[0].following)
    return shipped
