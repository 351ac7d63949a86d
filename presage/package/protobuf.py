"""Protocol Buffers at wire level: fields of one message, without a schema and without copying.

Enough to look into an ONNX file before a parser does. Every length is checked against its enclosing message.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """number, wire type; start and end of its content in the buffer (of a VARINT too), and a VARINT's value."""

    number: int
    wire: int
    start: int
    end: int
    value: int


def fields(buffer: bytes, start: int, end: int, runs: re.Pattern[bytes] | None = None) -> Iterator[Field]:
    """The fields of the message in buffer[start:end]. Raises ValueError where it is no message.

    runs: fields to pass over at the speed of a regular expression (long unpacked number lists), never yielded.
    """
    place = start
    while place < end:
        if runs is not None and (run := runs.match(buffer, place, end)):
            place = run.end()
            if place == end:
                return
        key, place = varint(buffer, place, end)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise ValueError(f"has field number 0 at byte {place}")
        begin, value = place, 0
        if wire == VARINT:
            value, place = varint(buffer, place, end)
        elif wire == BYTES:
            length, begin = varint(buffer, place, end)
            place = begin + length
        elif wire == FIXED64:
            place += 8
        elif wire == FIXED32:
            place += 4
        else:
            raise ValueError(f"has wire type {wire} at byte {begin}")
        if place > end:
            raise ValueError(f"is cut off at byte {end}")
        yield Field(number, wire, begin, place, value)


def varint(buffer: bytes, place: int, end: int) -> tuple[int, int]:
    """(value, place after it) of the variable-length integer at `place`."""
    value = shift = 0
    while place < end and shift < 70:
        byte = buffer[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place
        shift += 7
    raise ValueError(f"has a broken number at byte {place}")


def packed(buffer: bytes, start: int, end: int) -> Iterator[int]:
    """The integers of a packed repeated field."""
    place = start
    while place < end:
        value, place = varint(buffer, place, end)
        yield value
