"""How a segment of the journal looks, and how it is read again.

A journal is a folder; `journal.id` names it for ever. Segments `<id>.<number>.journal` are written one after the other:

    head     4 bytes length, msgpack `Writer`
    frames   20 bytes (length, CRC-32, records, ordinal of the first record in this journal), msgpack list of `Record`

A process that dies leaves at most one unfinished frame, at the end of its last segment: no answer left before its frame
was whole, so reading stops there. `shipped.json` says how far the prediction log has come.
"""

import struct
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from inference.journal.record import Record, Writer
from presage.errors import StateError
from presage.files import read_json, write_json

FRAME = struct.Struct("<IIIQ")
_HEAD = struct.Struct("<I")
_decode_head = msgspec.msgpack.Decoder(Writer).decode
_decode_records = msgspec.msgpack.Decoder(list[Record]).decode
_decode_rows = msgspec.msgpack.Decoder(list[list[Any]]).decode
_encode = msgspec.msgpack.Encoder().encode


class Frame(NamedTuple):
    """One write: `ordinal` of its first record, byte `offset` where it begins and `end` where the next one does;
    `length` of its records."""

    offset: int
    end: int
    ordinal: int
    length: int
    payload: bytes

    @property
    def records(self) -> list[Record]:
        return _decode_records(self.payload)

    @property
    def rows(self) -> list[list[Any]]:
        """The same records as plain lists, fields in `Record`'s order: a third of the cost where they become columns."""
        return _decode_rows(self.payload)


@dataclass(frozen=True)
class Position:
    """How far a reader has come: `records` of the journal are shipped, up to `offset` of segment `number`."""

    number: int = 0
    offset: int = 0
    records: int = 0


def head_bytes(writer: Writer) -> bytes:
    body = _encode(writer)
    return _HEAD.pack(len(body)) + body


def frame_bytes(records: list[Record], ordinal: int) -> bytes:
    body = _encode(records)
    return FRAME.pack(len(body), zlib.crc32(body), len(records), ordinal) + body


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
    if len(content) < _HEAD.size or len(content) < (start := _HEAD.size + _HEAD.unpack_from(content)[0]):
        return None, iter(())
    return _decode_head(content[_HEAD.size : start]), _frames(content, max(start, offset))


def _frames(content: bytes, offset: int) -> Iterator[Frame]:
    unpack, size, whole = FRAME.unpack_from, FRAME.size, len(content)
    while offset + size <= whole:
        length, checksum, count, ordinal = unpack(content, offset)
        begin = offset + size
        payload = content[begin : begin + length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
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
    write_json(folder / "shipped.json", position)


def next_ordinal(folder: Path) -> int:
    """The ordinal that the journal's next record gets."""
    for _, path in reversed(segments(folder)):  # the last one may hold no frame yet
        last = deque(read_segment(path)[1], maxlen=1)
        if last:
            return last[0].ordinal + last[0].length
    return read_position(folder).records
