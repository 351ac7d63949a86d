"""Denials of access logs, brought into the audit log: each counted once, however often whoever brings them is killed.

    gather(files, folder, state.root / "audit", at=datetime.now(UTC))      # entries that were written
    gathering = Gathering(folder, audit, cadence=Cadence(time.monotonic))  # who brings again and again, and not everything at once
    gathering.bring(files, at=datetime.now(UTC))

How far the entries of a log reach lies in `folder`. Before entries are written it says which part of the log they are of, and each entry says so too;
whoever finds that there reads the same part again, and writes what is not in the audit log yet. What was read and is held back lies in memory alone.

A log that was emptied or replaced is read from its beginning. What is told of it is told once; what is not: what stood in the old one and
was not told by then.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from presage.files import sha256_bytes
from presage.governance.audit.cadence import Cadence
from presage.governance.audit.denials import GATEWAY, Denial, Group, Groups, denial_of
from presage.governance.audit.entries import Entry, Fact
from presage.governance.audit.log import AuditLog
from presage.governance.audit.places import Place, first_of, mark_at, read_place, write_place
from presage.governance.audit.reading import read_entries
from presage.package.locks import locked

KIND = "access-denied"
_LINE = 1 << 20
"""A longer line is none of a proxy's: the longest path, each byte of it escaped, is shorter."""


@dataclass
class _Held:
    """A part of a log that was read and not told. kept: what its place was on the disk; to: the part's end; since: when its first denial was read."""

    kept: Place
    place: Place
    groups: Groups
    to: int
    mark: str
    since: float | None = None

    def reached(self) -> Place:
        return replace(self.place, to=self.to, mark=self.mark)


class Gathering:
    """folder: of the places; audit: of the audit log, made at the first denial; cadence: None tells all at once."""

    def __init__(self, folder: Path, audit: Path, *, gateway: str = GATEWAY, cadence: Cadence | None = None) -> None:
        self._folder, self._audit, self._gateway, self._cadence = folder, audit, gateway, cadence
        self._held: dict[Path, _Held] = {}

    def bring(self, files: Iterable[Path], *, at: datetime) -> list[Entry]:
        """Read each file to its end, and tell what is due. Raises StateError where that cannot be written: the same is brought by the next call."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        written: list[Entry] = []
        with locked(self._folder):
            for path in dict.fromkeys([*files, *self._held]):
                written += self._read(path, at)
            # Whoever waits longest is first, and nobody behind is told before: no log is starved by others.
            for path, held in sorted(self._held.items(), key=lambda one: one[1].since or 0.0):
                if held.since is None or (self._cadence is not None and not self._cadence.is_due(path, held.groups, self._cadence.clock() - held.since)):
                    continue
                if self._cadence is not None and not self._cadence.affords(len(held.groups)):
                    break
                written += self._tell(path, self._held.pop(path), at)
        return written

    def _kept(self, path: Path) -> Path:
        return self._folder / f"{_name(path)}.json"

    def _read(self, path: Path, at: datetime) -> list[Entry]:
        """Read on; entries only of what was begun to be told before, or is of a log that is no more."""
        kept, held = read_place(self._kept(path)), self._held.pop(path, None)
        if held is not None and held.kept != kept:
            held = None  # somebody else told that
        try:
            handle = path.open("rb")
        except FileNotFoundError:
            return self._leave(path, held, at) if held is not None else []
        with handle:
            written: list[Entry] = []
            if held is not None and not held.reached().goes_on(handle):
                written, kept = self._leave(path, held, at), held.reached()
                place = kept.begun_anew(handle)
                held = _Held(kept, place, Groups(), place.to, place.mark)
            elif held is None:
                place = kept
                if not place.goes_on(handle):
                    place = place.begun_anew(handle)
                elif place.writing is not None:  # somebody was killed here
                    written, place = self._finish(path, handle, place, at), place.written()
                    write_place(self._kept(path), place)
                    kept = place
                held = _Held(kept, place, Groups(), place.to, place.mark)
            self._read_on(path, handle, held)
        return written

    def _read_on(self, path: Path, handle: BinaryIO, held: _Held) -> None:
        groups, to = held.groups.copy(), held.to
        for length, denial in _denials(handle, held.to, os.fstat(handle.fileno()).st_size, self._gateway):
            to += length
            if denial is not None:
                groups.add(denial)
        mark = mark_at(handle, to)
        if held.reached().goes_on(handle):  # else it was emptied meanwhile, and what was read is of two logs
            if len(groups) and held.since is None:
                held.since = self._cadence.clock() if self._cadence is not None else 0.0
            held.groups, held.to, held.mark = groups, to, mark
            if to and not held.place.first:
                held.place = replace(held.place, first=first_of(handle))
        if not len(held.groups) and held.reached() != held.kept:  # nothing to tell: not read again by whoever comes after us
            held.place = held.kept = held.reached()
            write_place(self._kept(path), held.place)
        self._held[path] = held

    def _tell(self, path: Path, held: _Held, at: datetime) -> list[Entry]:
        place = replace(held.place, writing=held.to, mark_writing=held.mark)
        write_place(self._kept(path), place)
        written = self._append(path, held.groups, place, held.to, at)
        write_place(self._kept(path), place.written())
        return written

    def _leave(self, path: Path, held: _Held, at: datetime) -> list[Entry]:
        """Tell what was read of a log that is no more: nobody could read it again, so it is marked as told before."""
        write_place(self._kept(path), held.reached())
        return self._append(path, held.groups, held.place, held.to, at)

    def _finish(self, path: Path, handle: BinaryIO, place: Place, at: datetime) -> list[Entry]:
        groups, end = Groups(), place.writing or 0
        for _, denial in _denials(handle, place.to, end, self._gateway):
            if denial is not None:
                groups.add(denial)
        done = {_key(entry.facts) for entry in read_entries(self._audit) if _is_of(entry, path, place)}
        return self._append(path, (group for group in groups if group.kind not in done), place, end, at)

    def _append(self, path: Path, groups: Iterable[Group], place: Place, end: int, at: datetime) -> list[Entry]:
        groups = list(groups)
        if self._cadence is not None:
            self._cadence.told(path, groups)
        log = AuditLog.open(self._audit) if groups else None
        where: dict[str, Fact] = {"log": path.name, "file": _name(path), "generation": place.generation, "from": place.to, "to": end}
        return [log.append(KIND, group.who, _facts(group) | where, at=at) for group in groups if log is not None]


def gather(files: Iterable[Path], folder: Path, audit: Path, *, at: datetime, gateway: str = GATEWAY) -> list[Entry]:
    """Bring what is new in each file into the audit log in `audit`. Raises StateError: see Gathering.bring."""
    return Gathering(folder, audit, gateway=gateway).bring(files, at=at)


def gather_stream(handle: BinaryIO, audit: Path, *, at: datetime, gateway: str = GATEWAY) -> list[Entry]:
    """Bring what comes, up to its end. Nobody knows how far it was read: brought again, it is counted again."""
    groups = Groups()
    while line := handle.readline(_LINE):
        if (denial := _denial(line, gateway)) is not None:
            groups.add(denial)
    log = AuditLog.open(audit) if len(groups) else None
    return [log.append(KIND, group.who, _facts(group) | {"log": "standard input"}, at=at) for group in groups if log is not None]


def _facts(group: Group) -> dict[str, Fact]:
    return {"who": group.who, "what": group.what, "why": group.why, "count": group.count, "first": group.first, "last": group.last}


def _key(facts: dict[str, Any]) -> tuple[Fact, ...]:
    return (facts["who"], facts["what"], facts["why"])


def _is_of(entry: Entry, path: Path, place: Place) -> bool:
    facts = entry.facts
    return entry.kind == KIND and (facts.get("file"), facts.get("generation"), facts.get("from")) == (_name(path), place.generation, place.to)


def _name(path: Path) -> str:
    """Of the file, wherever it is read from: logs of two machines have the same base name."""
    return sha256_bytes(str(path.resolve()).encode())[:24]


def _denials(handle: BinaryIO, begin: int, end: int, gateway: str) -> Iterator[tuple[int, Denial | None]]:
    """Of each line, its length and what it tells; a torn one at the end waits, unless it is longer than any."""
    handle.seek(begin)
    left = end - begin
    while left > 0 and (line := handle.readline(min(left, _LINE))):
        if not line.endswith(b"\n") and len(line) < _LINE:
            return
        left -= len(line)
        yield len(line), _denial(line, gateway)


def _denial(line: bytes, gateway: str) -> Denial | None:
    with suppress(ValueError, RecursionError):
        found = json.loads(line)
        return denial_of(found, gateway) if isinstance(found, dict) else None
    return None
