"""Reading objects strictly: every field is taken by name, and what nobody took is an error, never skipped."""

from typing import Any, NoReturn, TypeVar

from presage.errors import InputError
from presage.manifests.objects import Manifest, label

T = TypeVar("T")
_MISSING = object()


class FieldError(InputError):
    """A field that is missing, of another type than it must be, or unknown to who reads it.

    `place` names the object, `path` the field, `problem` is the rest of the sentence.
    """

    def __init__(self, place: str, path: str, problem: str) -> None:
        super().__init__(f"{place}: {path} {problem}")
        self.place = place
        self.path = path
        self.problem = problem


class Fields:
    """One mapping of an object, taken apart field by field.

        spec = Fields.of(manifest).inside("spec")
        replicas = spec.take("replicas", int, 1)
        spec.finish()     # FieldError names any field that was not taken
    """

    def __init__(self, place: str, path: str, mapping: dict[str, Any]) -> None:
        self.place = place
        self.path = path
        self._left = dict(mapping)

    @classmethod
    def of(cls, manifest: Manifest) -> "Fields":
        """The whole object, without what every object has (apiVersion, kind, metadata)."""
        return cls(label(manifest), "", {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata")})

    def copy(self) -> "Fields":
        """The same mapping, to be read twice."""
        return Fields(self.place, self.path, self._left)

    def raw(self) -> dict[str, Any]:
        """What was not taken yet, as it is written; nothing is taken by this."""
        return dict(self._left)

    def take(self, name: str, kind: type[T], default: Any = _MISSING) -> T:
        """The field `name`, which must be a `kind`; `default` where it is absent. Raises FieldError."""
        value = self._left.pop(name, None)
        if value is None:
            if default is _MISSING:
                raise FieldError(self.place, self._at(name), "is missing. Write it.")
            return default  # type: ignore[no-any-return]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise FieldError(self.place, self._at(name), f"is {value!r}, not of type {kind.__name__}.")
        return value

    def __contains__(self, name: str) -> bool:
        """Whether the field is there and not taken yet."""
        return self._left.get(name) is not None

    def optional(self, name: str, kind: type[T]) -> T | None:
        """The field `name` if it is there."""
        return self.take(name, kind, None)

    def inside(self, name: str) -> "Fields":
        """The mapping under `name`; an absent one reads as empty."""
        return Fields(self.place, self._at(name), self.take(name, dict, {}))

    def mapping(self, name: str) -> dict[str, str]:
        """The mapping of text to text under `name` (labels, annotations); an absent one reads as empty."""
        found = self.take(name, dict, {})
        for key, value in found.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise FieldError(self.place, self._at(f"{name}[{key}]"), f"is {value!r}, not text. Quote it.")
        return dict(found)

    def each(self, name: str) -> list["Fields"]:
        """The mappings of the list under `name`; an absent list reads as empty."""
        found = []
        for position, item in enumerate(self.take(name, list, [])):
            path = self._at(f"{name}[{position}]")
            if not isinstance(item, dict):
                raise FieldError(self.place, path, f"is {item!r}, not a mapping.")
            found.append(Fields(self.place, path, item))
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """The list of strings under `name`; an absent one reads as empty."""
        found = self.take(name, list, [])
        for item in found:
            if not isinstance(item, str):
                raise FieldError(self.place, self._at(name), f"holds {item!r}, not text. Quote it.")
        return tuple(found)

    def rest(self, known: frozenset[str]) -> dict[str, Any]:
        """All fields not taken yet, each of which must be in `known`; then nothing is left."""
        left = dict(self._left)
        for name in left:
            if name not in known:
                self.refuse(name)
        self._left.clear()
        return left

    def finish(self) -> None:
        """Raise FieldError if a field was not taken."""
        for name in self._left:
            self.refuse(name)

    def refuse(self, name: str, why: str = "is a field that is not understood here. Remove it, or teach the reader what it means.") -> NoReturn:
        """Raise FieldError about the field `name` of this mapping."""
        raise FieldError(self.place, self._at(name), why)

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
