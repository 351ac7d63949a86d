"""What Vault Secrets Operator makes of the fields of a secret: filters, templates, `_raw` (its destination.transformation).

Of Go's templates three actions are understood, with any text around them; every other one is refused by name:

    {{ get .Secrets "name" }}     {{ .Secrets.name }}     {{ join "\\n" .Secrets.name }}
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from presage.secrets.errors import ConfigurationRefused, SecretMissing

RAW = "_raw"
_ACTION = re.compile(r"\{\{-?\s*(?P<words>.*?)\s*-?\}\}", re.DOTALL)
_GET = re.compile(r'get\s+\.Secrets\s+"(?P<name>[^"\\]+)"')
_FIELD = re.compile(r"\.Secrets\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)")
_JOIN = re.compile(r'join\s+"(?P<between>(?:[^"\\]|\\n)*)"\s+\.Secrets\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)')
_KNOWN = frozenset({"excludeRaw", "excludes", "includes", "templates"})


def transformed(fields: Mapping[str, Any], whole: Mapping[str, Any], transformation: Mapping[str, Any]) -> dict[str, bytes]:
    """The Secret's keys. fields: of the secret; whole: Vault's answer, which `_raw` holds. Raises SecretsError naming the field of the manifest."""
    if strange := sorted(set(transformation) - _KNOWN):
        raise ConfigurationRefused(f"destination.transformation.{strange[0]} is not honoured here. Write excludeRaw, excludes, includes and templates.")
    templates = {key: str(template["text"]) for key, template in (transformation.get("templates") or {}).items()}
    made: dict[str, bytes] = {}
    if not transformation.get("excludeRaw", False):
        if RAW in fields or RAW in templates:
            remedy = "Set destination.transformation.excludeRaw"
            raise ConfigurationRefused(f"the secret has a field {RAW!r} of its own, where the operator writes all of it. {remedy}.")
        made[RAW] = as_bytes(whole)
    made |= {key: rendered(text, fields, key).encode() for key, text in templates.items()}
    kept = [name for name in fields if _kept(name, transformation)]
    return made | {name: as_bytes(fields[name]) for name in kept if name not in made}


def rendered(text: str, fields: Mapping[str, Any], key: str) -> str:
    """A template with the secret's fields put in. key: of the Secret, for the sentence."""
    place = f"destination.transformation.templates.{key}"

    def value(action: "re.Match[str]") -> str:
        if _trims(action.group()):
            raise ConfigurationRefused(f"{place}: {action.group()!r} trims white space, which is not honoured here. Write it without dashes.")
        if match := _GET.fullmatch(action["words"]) or _FIELD.fullmatch(action["words"]):
            return _printed(_field(fields, match["name"], place), place)
        if match := _JOIN.fullmatch(action["words"]):
            parts = _field(fields, match["name"], place)
            if not isinstance(parts, list):
                raise ConfigurationRefused(f"{place}: {match['name']!r} is no list, so it cannot be joined. Write {{{{ get .Secrets \"{match['name']}\" }}}}.")
            return match["between"].replace("\\n", "\n").join(str(part) for part in parts)
        raise ConfigurationRefused(f'{place}: {action.group()!r} is not understood here. Write {{{{ get .Secrets "name" }}}}.')

    return _ACTION.sub(value, text)


def as_bytes(value: Any) -> bytes:
    """Text as it is, everything else as JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()


def _kept(name: str, transformation: Mapping[str, Any]) -> bool:
    excludes, includes = (transformation.get(which) or [] for which in ("excludes", "includes"))
    if any(_matches(pattern, name) for pattern in excludes):
        return False
    return not includes or any(_matches(pattern, name) for pattern in includes)


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error as error:
        raise ConfigurationRefused(f"destination.transformation: {pattern!r} is no regular expression ({error}). Mend it.") from None


def _field(fields: Mapping[str, Any], name: str, place: str) -> Any:
    if name not in fields:
        held = ", ".join(sorted(fields)) or "nothing"
        raise SecretMissing(f"{place} wants {name!r}, and the secret holds {held}. Write that key to Vault, or correct the template.")
    return fields[name]


def _printed(value: Any, place: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise ConfigurationRefused(f"{place}: the value is a {type(value).__name__}, which a template would write in Go's own form. Join its parts, or store text.")


def _trims(action: str) -> bool:
    return action.startswith("{{-") or action.endswith("-}}")
