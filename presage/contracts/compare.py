"""Every difference between two contracts, and whether a caller of the old one can live with it.

    for change in compare(old, new): print(change.effect, change.where, change.before, change.after, change.because)

A caller sends inputs, so the new contract must take at least what the old one took. A caller reads outputs, so the new one must give at
most what the old one gave. `x` is read by position, so an input that comes, goes or moves breaks whoever sends `x`, nullable or not.
"""

import re
from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, Protocol, TypeVar

import msgspec

from presage.contracts.version import Effect
from presage.package.contract import Contract, InputField, OutputField


class Change(msgspec.Struct, frozen=True):
    """where: `inputs.system.cpu.utilization.mean_15m.low`; before, after: as written, null = was not there; because: the rule that decided."""

    effect: Effect
    where: str
    before: str | None
    after: str | None
    because: str


_ORDER: tuple[Effect, ...] = ("breaking", "compatible", "editorial")


def compare(old: Contract, new: Contract) -> list[Change]:
    """The breaking ones first; empty where both say the same. Versions are not compared: they follow from this (presage.contracts.successor)."""
    found = [*_whole(old, new), *_features(old, new), *_inputs(old, new), *_outputs(old, new)]
    return sorted(found, key=lambda change: _ORDER.index(change.effect))


def worst(changes: Sequence[Change]) -> Effect | None:
    """What they amount to together; None where there are none."""
    return min((change.effect for change in changes), key=_ORDER.index, default=None)


_WHOLE: dict[str, tuple[Effect, str]] = {
    "name": ("breaking", "it is another contract"),
    "schema": ("breaking", "the document is of another form"),
    "kind": ("breaking", "rows and sequences are sent in different shapes"),
    "entity": ("breaking", "callers name keys of another kind"),
    "horizon": ("breaking", "the risk is of another span of time"),
    "detectors": ("compatible", "how many of the columns the path computes itself is nothing a caller sends"),
    "feature_version": ("compatible", "looked-up rows are of another version: the feature refresh must go with it"),
}
_FEATURES: dict[str, tuple[Effect, str]] = {
    "name": ("editorial", "callers never name the view"),
    "entity": ("breaking", "callers name keys of another kind"),
    "tick": ("breaking", "values are taken on another grid, so equal names mean other values"),
}
_PLATFORM = "what it means for callers shows in the inputs"


def _whole(old: Contract, new: Contract) -> Iterator[Change]:
    for key, (effect, because) in _WHOLE.items():
        yield from _changed(key, getattr(old, key), getattr(new, key), effect, because)
    sequence = "sequence" in (old.kind, new.kind)
    because = "x has another number of ticks" if sequence else "rows have no history"
    yield from _changed("history", old.history, new.history, "breaking" if sequence else "editorial", because)


def _features(old: Contract, new: Contract) -> Iterator[Change]:
    for key in sorted(old.features.keys() | new.features.keys()):
        effect, because = _FEATURES.get(key, ("compatible", _PLATFORM))
        yield from _changed(f"features.{key}", old.features.get(key), new.features.get(key), effect, because)


def _inputs(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = _named(old.inputs), _named(new.inputs)
    for name in before.keys() - after.keys():
        yield Change("breaking", f"inputs.{name}", _described(before[name]), None, "callers that send it are refused")
    for name in after.keys() - before.keys():
        because = "x is read by position, and rows that callers send now are one value short"
        required = "" if after[name].nullable else "; and it must not be missing"
        yield Change("breaking", f"inputs.{name}", None, _described(after[name]), because + required)
    both = [name for name in before if name in after]
    order = [name for name in after if name in before]
    if both != order:
        moved = next(index for index, pair in enumerate(zip(both, order, strict=True)) if pair[0] != pair[1])
        yield Change("breaking", "inputs", f"{both[moved]} at {moved}", f"{order[moved]} at {moved}", "x is read by position")
    for name in both:
        yield from _input(before[name], after[name])


def _input(old: InputField, new: InputField) -> Iterator[Change]:
    where = f"inputs.{old.name}"
    yield from _changed(f"{where}.dtype", old.dtype, new.dtype, "breaking", "callers send values of the old type")
    yield from _changed(f"{where}.unit", old.unit, new.unit, "breaking", "callers send values in the old unit, which would be taken for the new one")
    took, takes = "values that callers may send are refused", "what callers may send is still taken"
    for side, narrower in (("low", _low(new) > _low(old)), ("high", _high(new) < _high(old))):
        yield from _changed(f"{where}.{side}", getattr(old, side), getattr(new, side), "breaking" if narrower else "compatible", took if narrower else takes)
    effect: Effect = "compatible" if new.nullable else "breaking"
    because = "it may be missing now" if new.nullable else "rows without it are refused"
    yield from _changed(f"{where}.nullable", old.nullable, new.nullable, effect, because)
    yield from _meaning(where, old, new)


def _outputs(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = _named(old.outputs), _named(new.outputs)
    for name in before.keys() - after.keys():
        yield Change("breaking", f"outputs.{name}", _described(before[name]), None, "callers that read it find nothing")
    for name in after.keys() - before.keys():
        yield Change("compatible", f"outputs.{name}", None, _described(after[name]), "outputs are read by name")
    both = [name for name in before if name in after]
    order = [name for name in after if name in before]
    if both != order:
        yield Change("compatible", "outputs", ", ".join(both), ", ".join(order), "outputs are read by name")
    for name in both:
        yield from _output(before[name], after[name])


def _output(old: OutputField, new: OutputField) -> Iterator[Change]:
    where = f"outputs.{old.name}"
    yield from _changed(f"{where}.dtype", old.dtype, new.dtype, "breaking", "callers read values of the old type")
    yield from _changed(f"{where}.unit", old.unit, new.unit, "breaking", "callers would take values in the new unit for the old one")
    fits = len(old.shape) == len(new.shape) and all(known in (-1, size) for known, size in zip(old.shape, new.shape, strict=True))
    because = "every new shape is one that callers know" if fits else "callers get a shape that they do not expect"
    yield from _changed(f"{where}.shape", old.shape, new.shape, "compatible" if fits else "breaking", because)
    gives, gave = "callers get values that could not come before", "what comes is what could come before"
    for side, wider in (("low", _low(new) < _low(old)), ("high", _high(new) > _high(old))):
        yield from _changed(f"{where}.{side}", getattr(old, side), getattr(new, side), "breaking" if wider else "compatible", gives if wider else gave)
    if set(old.values) == set(new.values):
        yield from _changed(f"{where}.values", old.values, new.values, "editorial", "only the order they are written in changes")
    else:
        wider = bool(old.values) and (not new.values or not set(new.values) <= set(old.values))
        yield from _changed(f"{where}.values", old.values, new.values, "breaking" if wider else "compatible", gives if wider else gave)
    yield from _meaning(where, old, new)


class _Field(Protocol):
    """What inputs and outputs have in common."""

    @property
    def name(self) -> str: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def meaning(self) -> str: ...


_F = TypeVar("_F", bound=_Field)


def _meaning(where: str, old: _Field, new: _Field) -> Iterator[Change]:
    """Words that say the same with other marks, or that say what nobody had said, promise nothing less."""
    same = not old.meaning or _words(old.meaning) == _words(new.meaning)
    because = "only how it is written changes" if same else "callers rely on what it meant"
    yield from _changed(f"{where}.meaning", old.meaning, new.meaning, "editorial" if same else "breaking", because)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _changed(where: str, before: Any, after: Any, effect: Effect, because: str) -> Iterator[Change]:
    if before != after:
        yield Change(effect, where, _written(before), _written(after), because)


def _written(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


def _described(field: InputField | OutputField) -> str:
    return f"{field.dtype} {field.unit} {_bounds(field)}"


def _bounds(field: _Field) -> str:
    return f"[{'-inf' if field.low is None else f'{field.low:g}'}, {'inf' if field.high is None else f'{field.high:g}'}]"


def _low(field: _Field) -> float:
    return -inf if field.low is None else field.low


def _high(field: _Field) -> float:
    return inf if field.high is None else field.high


def _named(fields: Sequence[_F]) -> dict[str, _F]:
    return {field.name: field for field in fields}
