"""One difference between what is wanted and what a Vault has, and how fields of its API are compared."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Any

_GO = re.compile(r"(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)?")
_LONGEST = 60  # characters of a value in a table


class Action(StrEnum):
    """What applying does to an object."""

    create = "create"
    update = "update"
    unchanged = "unchanged"
    unknown = "unknown"  # it is there and the folder does not know it: it stays, unless pruned
    remove = "remove"
    conflict = "conflict"  # what is there cannot be changed into what is wanted
    refused = "refused"  # this Vault does not take it through its API


@dataclass(frozen=True)
class Change:
    """object: `kind/…`. details: a line a field. act: makes it so, where something is to be made."""

    object: str
    action: Action
    details: tuple[str, ...] = ()
    act: Callable[[], Any] | None = None


def compared(name: str, wanted: Mapping[str, Any], found: Mapping[str, Any] | None, act: Callable[[], Any]) -> Change:
    """Create where nothing was found, update where a wanted field differs. Fields that are not wanted are not looked at."""
    if found is None:
        return Change(name, Action.create, (), act)
    details = differing(wanted, found)
    return Change(name, Action.update, details, act) if details else Change(name, Action.unchanged)


def differing(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    """`field: what is there → what is wanted`, for each field that differs."""
    return tuple(f"{name}: {_shown(found.get(name))} → {_shown(value)}" for name, value in wanted.items() if plain(found.get(name)) != plain(value))


def plain(value: Any) -> Any:
    """One spelling: Vault gives seconds or `72h0m0s`, sorts lists or not, and some versions leave out what is empty, zero or false."""
    if isinstance(value, timedelta):
        return round(value.total_seconds()) or None
    if isinstance(value, str):
        return _seconds(value) or None
    if isinstance(value, list | tuple | set | frozenset):
        return sorted(str(item) for item in value) or None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()} or None
    return value or None


def sent(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as Vault's API takes them."""
    return {name: f"{round(value.total_seconds())}s" if isinstance(value, timedelta) else _listed(value) for name, value in wanted.items()}


def unknown(prefix: str, names: Iterable[str], known: Iterable[str], prune: bool, remove: Callable[[str], Any]) -> Iterable[Change]:
    """What is there and not known: reported, or with `prune` removed."""
    for name in sorted(set(names) - set(known)):
        if prune:
            yield Change(f"{prefix}/{name}", Action.remove, (), partial(remove, name))
        else:
            yield Change(f"{prefix}/{name}", Action.unknown, ("the folder does not know it; --prune removes it",))


def _seconds(text: str) -> Any:
    match = _GO.fullmatch(text)
    if not text or match is None or match.lastindex is None:
        return text
    return 3600 * int(match["hours"] or 0) + 60 * int(match["minutes"] or 0) + int(match["seconds"] or 0)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def _shown(value: Any) -> str:
    if isinstance(value, timedelta):
        value = plain(value)
    if isinstance(value, list | tuple):
        value = ", ".join(str(item) for item in value)
    text = "nothing" if value in (None, "") else " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
