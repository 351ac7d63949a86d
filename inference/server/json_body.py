"""JSON bodies, strictly: typed, bounded in depth, no key twice, and a refusal that shows the value.

msgspec checks types while it parses, but takes the last of two equal keys. So the colons of the body are counted: as many
as the decoded document has keys means that no key came twice; anything else (a second key, or a colon or an escape inside
a string) is looked at again, slowly and exactly.
"""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from presage.errors import RequestRefused

T = TypeVar("T")
_PATH_PART = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


def decode(decoder: msgspec.json.Decoder[T], body: bytes, keys: Callable[[T], int]) -> T:
    """The typed document in `body`. `keys`: how many keys it has when none came twice. Raises RequestRefused(400)."""
    try:
        document = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RequestRefused(400, "json", f"{_sentence(str(error))}{_value_at(str(error), body)}.") from None
    except msgspec.DecodeError as error:
        raise RequestRefused(400, "json", f"The body is not JSON: {error}.") from None
    except (RecursionError, UnicodeDecodeError):
        raise RequestRefused(400, "json", "The body nests too deeply, or is not UTF-8. Send one flat JSON object.") from None
    if body.count(b":") != keys(document) or b"\\" in body:
        refuse_repeated_keys(body)
    return document


def refuse_repeated_keys(body: bytes) -> None:
    """Raises RequestRefused(400) where one object names a key twice."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RequestRefused(400, "json", f"The key {key[:60]!r} comes twice in one object. Send it once.")
            seen.add(key)

    try:
        json.loads(body, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise RequestRefused(400, "json", "The body is not plain JSON. Send one flat JSON object.") from None


def _sentence(text: str) -> str:
    return text.split(" - at ", maxsplit=1)[0] + (f" at {text.split('`')[-2]}" if " - at " in text else "")


def _value_at(message: str, body: bytes) -> str:
    """` (it is 'abc')` for the place that msgspec names, so that nobody has to count elements."""
    if " - at `$" not in message:
        return ""
    try:
        value = json.loads(body)
        for key, index in _PATH_PART.findall(message.split("`")[-2]):
            value = value[key] if key else value[int(index)]
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return ""
    text = json.dumps(value)
    return f" (it is {text if len(text) <= 60 else text[:57] + '...'})"
