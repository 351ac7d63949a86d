"""Values of tensors, from JSON lists or from raw little-endian bytes; as many as the shape says, or refused."""

import struct
from math import prod
from typing import Any

import numpy as np

from inference.path.request import F32
from presage.errors import RequestRefused

MOST_ELEMENTS = 1 << 26
_FLAT = 4096
_LENGTH = struct.Struct("<I")


def element_count(name: str, shape: list[int]) -> int:
    """Product of a shape whose sizes are believable one by one and together."""
    if any(size < 0 for size in shape) or (count := prod(shape)) > MOST_ELEMENTS:
        raise RequestRefused(400, "shape", f"{name} has shape {shape[:8]}. Sizes are 0 or more, and at most {MOST_ELEMENTS} values together.")
    return count


def read_floats(shape: list[int], values: Any) -> F32:
    """`x` from nested or flat JSON numbers, or from FP32 bytes."""
    count = element_count("x", shape)
    if isinstance(values, bytes):
        if len(values) != 4 * count:
            raise RequestRefused(400, "shape", f"x has shape {shape}, that is {4 * count} bytes of FP32, and {len(values)} bytes came.")
        return np.frombuffer(values, dtype="<f4").reshape(shape)
    try:
        array = _flat(values)
        if array is None:
            array = np.array(values, dtype=np.float32)  # what overflows becomes infinite, and the guard names it
    except (ValueError, TypeError):
        raise RequestRefused(400, "shape", "x mixes lists of different lengths. Send rows of one length, or one flat list.") from None
    if array.size != count or (array.ndim > 1 and list(array.shape) != shape):
        raise RequestRefused(400, "shape", f"x has shape {shape} and data of shape {list(array.shape)}. They must agree, or the data be flat.")
    return array.reshape(shape)


def _flat(values: list[Any]) -> F32 | None:
    """A flat list in half of numpy's time; None where it is long, nested, or too large for float32."""
    if len(values) > _FLAT:
        return None
    try:
        return np.frombuffer(struct.pack(f"<{len(values)}f", *values), dtype="<f4")
    except (struct.error, OverflowError):
        return None


def read_bytes_tensor(content: bytes, count: int) -> list[str]:
    """`server` from length-prefixed UTF-8."""
    texts: list[str] = []
    position = 0
    while position < len(content) and len(texts) <= count:
        if position + 4 > len(content) or (end := position + 4 + _LENGTH.unpack_from(content, position)[0]) > len(content):
            raise RequestRefused(400, "binary", f"server[{len(texts)}] is longer than the bytes that came. Send each value's length and all its bytes.")
        try:
            texts.append(content[position + 4 : end].decode())
        except UnicodeDecodeError:
            raise RequestRefused(400, "binary", f"server[{len(texts)}] is not UTF-8. Send names as UTF-8.") from None
        position = end
    if len(texts) != count:
        raise RequestRefused(400, "shape", f"server has {len(texts)} values in its bytes and {count} in its shape. They must agree.")
    return texts


def write_bytes_tensor(values: list[str]) -> bytes:
    encoded = [value.encode() for value in values]
    return b"".join(_LENGTH.pack(len(value)) + value for value in encoded)
