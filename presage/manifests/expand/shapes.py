"""The shape of what is embedded whole: containers and pod-level fields, as far as merging them relies on it."""

from typing import Any

from presage.manifests.expand.merge import KEYED
from presage.manifests.expand.refusals import NotAdmitted
from presage.manifests.fields import Fields

_MAPPINGS = ("resources", "securityContext", "nodeSelector", "affinity", "readinessProbe", "livenessProbe", "startupProbe", "lifecycle")
_TEXTS = ("args", "command")
_TEXT = ("image", "mountPath", "name", "protocol", "serviceAccountName", "value")


def take_rest(fields: Fields, known: frozenset[str]) -> dict[str, Any]:
    """All fields not taken yet, each in `known` and of the shape that the API server wants. Raises FieldError."""
    place, path = fields.place, fields.path
    found = fields.rest(known)
    _check(place, path, found)
    return found


def _check(place: str, path: str, found: dict[str, Any]) -> None:
    _check_text(place, path, found)
    for name in _MAPPINGS:
        if not isinstance(found.get(name) or {}, dict):
            raise NotAdmitted(place, f"{path}.{name}", f"is {found[name]!r}, not a mapping.")
    for name in _TEXTS:
        if not isinstance(items := found.get(name) or [], list) or not all(isinstance(item, str) for item in items):
            raise NotAdmitted(place, f"{path}.{name}", f"is {found[name]!r}, not a list of texts. Quote each word.")
    for kind, amounts in (found.get("resources") or {}).items():
        if kind in ("requests", "limits") and not isinstance(amounts, dict):
            raise NotAdmitted(place, f"{path}.resources.{kind}", f"is {amounts!r}, not a mapping.")
    for name, key in KEYED.items():
        if name in found:
            _check_list(place, f"{path}.{name}", found[name], key)
    for position, container in enumerate(found.get("initContainers") or []):
        _check(place, f"{path}.initContainers[{position}]", container)


def _check_list(place: str, path: str, items: Any, key: str) -> None:
    if not isinstance(items, list):
        raise NotAdmitted(place, path, f"is {items!r}, not a list.")
    for position, item in enumerate(items):
        if not isinstance(item, dict) or not isinstance(item.get(key), str | int):
            raise NotAdmitted(place, f"{path}[{position}]", f"is {item!r}, not a mapping with {key}.")
        _check_text(place, f"{path}[{position}]", item)


def _check_text(place: str, path: str, found: dict[str, Any]) -> None:
    for name in _TEXT:
        if not isinstance(found.get(name, ""), str | None):
            raise NotAdmitted(place, f"{path}.{name}", f"is {found[name]!r}, not text. Quote it.")
