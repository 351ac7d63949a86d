"""What a file's bytes must look like before any library parses them.

Each check is a plain function bytes → None that raises ValueError with what is wrong; `layout` adds the file's name.
They bound depth, counts and sizes, so that a parser behind them never meets a bomb, an archive or a pickle.
"""

import json
from typing import Any

_BRACKETS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
JSON_DEPTH = 32
SAFETENSORS_HEADER_LIMIT = 1 << 20
_DTYPE_BYTES = {"F64": 8, "F32": 4, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def check_text(content: bytes) -> None:
    """UTF-8 without control characters but tab and newline."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if any(ord(character) < 32 and character not in "\t\n" for character in set(text)):
        raise ValueError("holds control characters")


def check_json(content: bytes) -> None:
    """One JSON object in UTF-8, at most 32 levels deep, no key twice in one object, no NaN."""
    check_text(content)
    if not content.lstrip().startswith(b"{"):
        raise ValueError("is not a JSON object")
    depth = 0
    for byte in content.translate(None, delete=bytes(set(range(256)) - _BRACKETS.keys())):
        depth += _BRACKETS[byte]  # brackets inside strings count too: a bound, not a parse
        if depth > JSON_DEPTH:
            raise ValueError(f"nests deeper than {JSON_DEPTH} levels")
    try:
        json.loads(content, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON ({error})") from None


def check_safetensors(content: bytes) -> None:
    """A header of at most 1 MiB whose arrays lie one after another, fill the file exactly and have plain number types."""
    if len(content) < 8:
        raise ValueError("is shorter than a safetensors header")
    length = int.from_bytes(content[:8], "little")
    if length > SAFETENSORS_HEADER_LIMIT or length > len(content) - 8 or content[8:9] != b"{":
        raise ValueError("does not start with a safetensors header")
    header_bytes = content[8 : 8 + length]
    check_json(header_bytes.rstrip(b" "))
    header: dict[str, Any] = json.loads(header_bytes)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("holds metadata that is not text")
    end = 0
    for name, entry in sorted(header.items(), key=_offset):
        begin, until = entry["data_offsets"]
        size = _DTYPE_BYTES.get(entry.get("dtype"), 0)
        for dimension in entry["shape"]:
            size *= dimension
        if not size and 0 not in entry["shape"]:
            raise ValueError(f"holds {name!r} of type {entry.get('dtype')!r}, not a plain number")
        if begin != end or until - begin != size:
            raise ValueError(f"holds {name!r} at bytes {begin} to {until}, where {size} bytes from {end} are due")
        end = until
    if end != len(content) - 8 - length:
        raise ValueError(f"holds {len(content) - 8 - length - end} bytes after its arrays")


def _offset(item: tuple[str, Any]) -> int:
    name, entry = item
    if not (
        isinstance(entry, dict)
        and entry.keys() == {"dtype", "shape", "data_offsets"}
        and isinstance(entry["shape"], list)
        and isinstance(entry["data_offsets"], list)
        and len(entry["data_offsets"]) == 2
        and all(type(number) is int and number >= 0 for number in (*entry["shape"], *entry["data_offsets"]))
    ):
        raise ValueError(f"describes {name!r} by something else than dtype, shape and data_offsets")
    offset = entry["data_offsets"][0]
    assert isinstance(offset, int)
    return offset


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("one object holds a key twice")
    return document


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")
