"""YAML that people write: plain values only, never a tag that makes an object, and whatever is wrong is said with its place.

    policy = parse_as(TypeAdapter(ModelPolicy), text, "policies/models/incident.yaml")
    place(text, "policies/models/incident.yaml", ["costs", "false_alarm"])          policies/models/incident.yaml:29
"""

from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from presage.errors import InputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Parsed = TypeVar("Parsed")


def parse_yaml(text: str | bytes, where: str) -> Any:
    """The one document of a YAML text. Raises InputError naming `where`."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{where}: not YAML ({' '.join(str(error).split())}). Mend the file.") from None


def parse_as(kind: "TypeAdapter[Parsed]", text: str | bytes, where: str) -> Parsed:
    """The document as a type of pydantic's. Raises InputError naming `where` with the line, the key and its value."""
    from pydantic import ValidationError

    document = parse_yaml(text, where)
    try:
        return kind.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the document"
        value = "" if first["type"] == "missing" else f" (it is {first.get('input')!r})"
        raise InputError(f"{place(text, where, first['loc'])}: {key}: {first['msg']}{value}. Mend the key.") from None


def place(text: str | bytes, where: str, path: Sequence[str | int]) -> str:
    """`FILE:LINE` of the key at `path` (names of keys, positions in lists) in the YAML `text`; `where` alone where nothing is written.

    A part that is not written (a missing key, a word by which pydantic tells types apart) is passed over: the line is that of what is around it.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError):
        return where
    if node is None or not path:
        return where
    line = node.start_mark.line
    for part in path:
        if (found := _inside(node, part)) is not None:
            line, node = found
    return f"{where}:{line + 1}"


def _inside(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    """(line of the key, its value); of a key that is written twice the last, which is the one that counts."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if key.value == str(part):
                return key.start_mark.line, value
    return None


def read_commented(text: str, where: str) -> Any:
    """The one document of a YAML text with its comments and its style, to be changed and written again. Plain values only: a tag makes no object.

    Raises InputError naming `where`.
    """
    from ruamel.yaml.error import YAMLError

    try:
        return _round_trip().load(text)
    except YAMLError as error:
        raise InputError(f"{where}: not YAML ({' '.join(str(error).split())[:300]}). Mend the file.") from None


def write_commented(document: Any) -> str:
    """The text of what read_commented gave."""
    text = StringIO()
    _round_trip().dump(document, text)
    return text.getvalue()


def _round_trip() -> Any:
    from ruamel.yaml import YAML

    found = YAML(typ="rt")  # which constructs no Python object, whatever a document's tags say
    found.width = 10_000
    found.indent(mapping=2, sequence=4, offset=2)
    return found
