"""Which releases are needed whatever their age, and why: what manifests name, what may be gone back to, what is approved now, what this plane runs."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import orjson

from presage.governance.repository import Policies
from presage.package.statement import unverified_payload
from presage.state import State

_NAMED = re.compile(rb"presage://([a-z][a-z0-9-]*:[1-9][0-9]{0,8}@(sha256:[0-9a-f]{64}))")
_RECORDS = "policies/releases"


def in_use(root: Path | None, policies: Policies | None, state: State, now: datetime) -> dict[str, str]:
    """`sha256:…` of a release → why it stays. root: the repository, None where there is none (its manifests say what serves)."""
    used: dict[str, str] = {}
    for digest, why in _found(root, policies, state, now):
        used.setdefault(digest, why)
    return used


def _found(root: Path | None, policies: Policies | None, state: State, now: datetime) -> Iterator[tuple[str, str]]:
    if root is not None:
        for path in sorted((root / "manifests" / "rendered").rglob("*.yaml")):
            for name, digest in _NAMED.findall(path.read_bytes()):
                where = path.parent.relative_to(root / "manifests" / "rendered").as_posix()
                yield digest.decode(), f"{name.decode().partition('@')[0]} is named by the manifests of {where}"
        yield from _gone_back_to(root)
    for digest, name in (policies.approved(now) if policies is not None else {}).items():
        yield digest, f"{name} is approved now"
    for name in ("plan.json", "plane.json"):
        path = state.root / "plane" / name
        if path.is_file():
            for named, digest in _NAMED.findall(path.read_bytes()):
                yield digest.decode(), f"{named.decode().partition('@')[0]} is what the plane runs"


def _gone_back_to(root: Path) -> Iterator[tuple[str, str]]:
    """The release before the one that serves, wherever the records of a place tell of one: the stable release before each place's last promotion."""
    last: dict[tuple[Path, str], tuple[str, bytes]] = {}  # place and model → when, and what was stable before
    for path in (root / _RECORDS).rglob("*.dsse.json"):
        try:
            predicate = orjson.loads(unverified_payload(path.read_bytes()))["predicate"]
        except (ValueError, KeyError, TypeError):  # no record at all: `presage verify` says so
            continue
        if not isinstance(predicate, dict) or predicate.get("step") not in {"promote", "rollback", "switch"}:
            continue
        before = predicate.get("before")
        stable = str(before.get("stable", "")) if isinstance(before, dict) else ""
        key, at = (path.parent.parent, str(predicate.get("model", ""))), str(predicate.get("at", ""))
        if key not in last or last[key][0] < at:
            last[key] = (at, stable.encode())
    for _, before_that in last.values():
        for named, digest in _NAMED.findall(before_that):
            yield digest.decode(), f"{named.decode().partition('@')[0]} served before, and may be gone back to"
