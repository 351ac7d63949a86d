"""What all objects of the mesh have: a name in a namespace, labels to select by, durations."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest

Note = Callable[[str, str], None]  # (what is not honoured, which object says it)

ROOT_NAMESPACE = "istio-system"  # policies written here hold for the whole mesh

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")


@dataclass(frozen=True, order=True)
class Name:
    """`namespace/name`; the order of Names is the order in which equal objects are applied."""

    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> "Name":
        return cls(manifest["metadata"].get("namespace", "default"), manifest["metadata"]["name"])

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def whole_spec(manifest: Manifest) -> Fields:
    """The `spec` of an object that has nothing else to say (a `status` is a controller's, and skipped)."""
    fields = Fields.of(manifest)
    spec = fields.inside("spec")
    fields.optional("status", dict)
    fields.finish()
    return spec


def take_map(fields: Fields, name: str) -> dict[str, str]:
    """A mapping of text to text, such as labels; an absent one reads as empty."""
    found = fields.take(name, dict, {})
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise FieldError(fields.place, f"{fields.path}.{name}.{key}", f"is {value!r}, not text. Quote it.")
    return dict(found)


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether every label of `selector` is among `labels`; an empty selector selects all."""
    return all(labels.get(key) == value for key, value in selector.items())


def take_duration(fields: Fields, name: str) -> float | None:
    """Seconds of a duration such as 1m30s, 250ms; None where the field is absent."""
    text = fields.optional(name, str)
    if text is None:
        return None
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise FieldError(fields.place, f"{fields.path}.{name}", f"is {text!r}, no duration. Write it like 30s or 1m30s.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def take_whole(fields: Fields, name: str, least: int = 0, most: int = 2**31 - 1) -> int | None:
    """A whole number between `least` and `most`; None where the field is absent."""
    value = fields.optional(name, int)
    if value is not None and not least <= value <= most:
        raise FieldError(fields.place, f"{fields.path}.{name}", f"is {value}; it must lie between {least} and {most}.")
    return value


def take_choice(fields: Fields, name: str, choices: Mapping[str, str] | tuple[str, ...], default: str) -> str:
    """One of `choices`. A mapping gives the remedy for values that exist and are not honoured (empty: honoured)."""
    value = fields.take(name, str, default)
    if value not in choices:
        raise FieldError(fields.place, f"{fields.path}.{name}", f"is {value!r}; it may be {', '.join(choices)}.")
    if isinstance(choices, Mapping) and choices[value]:
        raise FieldError(fields.place, f"{fields.path}.{name}", f"is {value!r}, {choices[value]}")
    return value
