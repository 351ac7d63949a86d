"""The whole log read again: each line, its chain, the tree's root at the head and at every checkpoint, and what was anchored elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from presage.errors import StateError
from presage.governance.audit.checkpoints import AnotherKey, Checkpoint, VerifyingKey
from presage.governance.audit.entries import LONGEST
from presage.governance.audit.head import NAME as HEAD
from presage.governance.audit.head import Head, read_head
from presage.governance.audit.log import CHECKPOINTS, EVERY
from presage.governance.audit.reading import ENTRIES, Reading, Wanted, lines, read_part, unacknowledged
from presage.governance.audit.verdict import Findings, Verdict
from presage.package.locks import locked

_RIGHT_KEY = "Verify by the audit.vkey that the log was begun with; if this is it, somebody signed the log anew: restore it from a backup"
_ACCEPT = "Restore it from a backup. Where there is none, look at the entries since the last checkpoint, and run `presage audit verify --accept`"
_ANCHOR = "Run `presage audit anchor`, or name the bucket that holds its checkpoints"
_STATE = "Name the state that holds it with --state; if this is it, restore the log from a backup"


class Anchored(NamedTuple):
    """A checkpoint in its place. name: the last part of its key; note: what lies there, None for a marker that hides it."""

    where: str
    name: str
    note: bytes | None


@dataclass(frozen=True)
class Snapshot:
    """What there was at one moment between two appends. size: bytes of the entries; checkpoints: the files' names."""

    folder: Path
    head: bytes | None = None
    size: int = 0
    checkpoints: tuple[str, ...] = ()

    @classmethod
    def take(cls, folder: Path) -> "Snapshot":
        """The caller holds the lock."""
        path, kept = folder / ENTRIES, folder / CHECKPOINTS
        names = sorted(one.name for one in kept.iterdir() if not one.name.startswith(".")) if kept.is_dir() else ()
        return cls(folder, read_head(folder), path.stat().st_size if path.is_file() else 0, tuple(names))


def verify_log(folder: Path, key: VerifyingKey, anchored: Iterable[Anchored] | None = None) -> Verdict:
    """key: whose signatures are believed. anchored: checkpoints kept elsewhere; None: there is nothing to hold it against.

    Reads everything, changes nothing; appends go on meanwhile. Raises StateError where the log cannot be read.
    """
    elsewhere = None if anchored is None else list(anchored)  # before the log: what is anchored meanwhile is no tail that was cut
    try:
        if not folder.is_dir():
            return examine(Snapshot(folder), key, elsewhere)[0]
        with locked(folder):
            snapshot = Snapshot.take(folder)
        return examine(snapshot, key, elsewhere)[0]
    except OSError as error:
        where = error.filename or folder
        raise StateError(f"{where}: the audit log cannot be read ({error.strerror}). Mend that, or name another state with --state.") from None


def examine(snapshot: Snapshot, key: VerifyingKey, anchored: Sequence[Anchored] | None) -> tuple[Verdict, Reading]:
    """As verify_log; and what was read, up to the first entry that is wrong."""
    findings = Findings()
    head = _head(snapshot, key, findings)
    wanted: Wanted = {}
    if head is not None:
        wanted[head.tree.size] = [(str(snapshot.folder / HEAD), head.checkpoint)]
    local = _local(snapshot, key, head, wanted, findings)
    elsewhere = _elsewhere(anchored, key, wanted, findings) if anchored is not None else 0
    reading = Reading(snapshot.folder / ENTRIES, wanted, findings)
    length = _whole_lines(reading.path, snapshot.size) if head is None else min(head.length, snapshot.size)
    reading.read(lines(reading.path, length) if length else ())
    notes = _behind(reading, length, snapshot.size - length, findings)
    if head is not None and reading.broken is None and (reading.tree.size, reading.last, reading.length) != (head.tree.size, head.last, head.length):
        findings.add("head", f"{snapshot.folder / HEAD} does not go with the entries that it signs", None, _ACCEPT)
    if snapshot.head is None and not snapshot.size and not wanted:
        findings.add("tail", f"{snapshot.folder}: there is no log here", None, _STATE)
    if elsewhere == 0 and anchored is not None:
        findings.add("anchor", "no checkpoint of this log is anchored there", None, _ANCHOR)
    good = not findings.found
    entries = reading.tree.size if reading.broken is None else reading.broken
    return Verdict(entries, tuple(findings), local, elsewhere, reading.tree.root().hex() if good else "", notes, findings.more), reading


def _head(snapshot: Snapshot, key: VerifyingKey, findings: Findings) -> Head | None:
    where = str(snapshot.folder / HEAD)
    if snapshot.head is None:
        if snapshot.size:
            findings.add("head", f"{where} is gone: nothing says where the log ended", None, _ACCEPT)
        return None
    try:
        return Head.parse(snapshot.head, key, where)
    except AnotherKey as error:
        findings.add("key", error.message, None, _RIGHT_KEY)
    except StateError as error:
        findings.add("head", error.message, None, _ACCEPT)
    return None


def _local(snapshot: Snapshot, key: VerifyingKey, head: Head | None, wanted: Wanted, findings: Findings) -> int:
    """How many checkpoints lie beside the log; each is added to `wanted`."""
    count = 0
    for name in snapshot.checkpoints:
        path = snapshot.folder / CHECKPOINTS / name
        try:
            found = named(Anchored(str(path), name, path.read_bytes()), key)
        except AnotherKey as error:
            findings.add("key", error.message, None, _RIGHT_KEY)
        except StateError as error:
            findings.add("checkpoint", error.message)
        else:
            wanted.setdefault(found.size, []).append((str(path), found))
            count += 1
    there = set(snapshot.checkpoints)
    for size in range(EVERY, head.tree.size if head else 0, EVERY):
        if f"{size:010}" not in there:
            findings.add("checkpoint", f"{snapshot.folder / CHECKPOINTS}: the checkpoint of {size} entries was removed")
    return count


def _elsewhere(anchored: Iterable[Anchored], key: VerifyingKey, wanted: Wanted, findings: Findings) -> int:
    count = 0
    for kept in anchored:
        if kept.note is None:
            findings.add("anchor", f"{kept.where} was removed, as far as its lock allows: a marker hides it", None, "Find out who could; remove the marker")
            continue
        try:
            found = named(kept, key)
        except AnotherKey as error:
            findings.add("key", error.message, None, _RIGHT_KEY)
        except StateError as error:
            findings.add("anchor", error.message, None, "Find out who put it there")
        else:
            wanted.setdefault(found.size, []).append((kept.where, found))
            count += 1
    return count


def named(kept: Anchored, key: VerifyingKey) -> Checkpoint:
    """Raises StateError where it is no checkpoint of this log, or lies under a name that is not its size."""
    found = Checkpoint.parse(kept.note or b"", key, kept.where)
    if kept.name != f"{found.size:010}":
        raise StateError(f"{kept.where} is the checkpoint of {found.size} entries under another name")
    return found


def _whole_lines(path: Path, size: int) -> int:
    """Bytes up to the last line's end, where no head says how many count."""
    begin = max(0, size - LONGEST - 1)
    rest = read_part(path, begin, size - begin) if size else b""
    return size - len(rest.rpartition(b"\n")[2]) if b"\n" in rest or not begin else size


def _behind(reading: Reading, begin: int, size: int, findings: Findings) -> tuple[str, ...]:
    """What lies after the entries that count. begin, size: in bytes."""
    if not size:
        return ()
    what = unacknowledged(read_part(reading.path, begin, size)) if size <= LONGEST + 1 else None
    if what is None:
        findings.add("behind", f"{reading.path}: more lies behind the last entry than a killed process leaves: it was put in", reading.next)
        return ()
    return (f"after {reading.next} entries lies {what} that a killed process left: nobody was told of it, and the next append sets it aside",)
