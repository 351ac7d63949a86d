"""YAML that people write: plain values only, never a tag that makes an object, and whatever is wrong is said with its place.

    policy = parse_as(TypeAdapter(ModelPolicy), text, "policies/models/incident.yaml")
"""

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
    """The document as a type of pydantic's. Raises InputError naming `where`, the key and its value."""
    from pydantic import ValidationError

    document = parse_yaml(text, where)
    try:
        return kind.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InputError(f"{where}: {key}: {first['msg']} (it is {first.get('input')!r}). Mend the key.") from None
