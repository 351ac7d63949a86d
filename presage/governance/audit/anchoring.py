"""Checkpoints in a bucket whose objects cannot be removed or replaced: whoever cuts the log's tail, or writes it anew, is found by them.

    anchor(log, bucket, keep=timedelta(days=3650), now=now)       the newest checkpoint, there
    verify_log(folder, key, anchored_checkpoints(bucket))

Each lies under its size, so that a listing is in order: `audit/0000001234`. One prefix of a bucket is for one log. A lock keeps a version, not a
name: whoever may write there can put another version, or a marker, over it. So all versions are read, never what is on top.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

from presage.errors import StateError
from presage.governance.audit.checkpoints import Checkpoint, VerifyingKey
from presage.governance.audit.log import AuditLog
from presage.governance.audit.verification import Anchored, named, verify_log
from presage.storage.locking import Version

PREFIX = "audit/"
_LIMIT = 4096


class LockingStorage(Protocol):
    """What an anchor needs: presage.storage.locking.LockingBucket has it. `str()` of one is its address."""

    def versions(self, prefix: str) -> Iterator[Version]: ...

    def read_version(self, key: str, version: str, limit: int) -> bytes: ...

    def write_locked(self, key: str, content: bytes, until: datetime) -> bool: ...


def anchor(log: AuditLog, bucket: LockingStorage, *, keep: timedelta, now: datetime) -> Checkpoint:
    """Sign what there is, put it there, and say so in the log; what is there already is left as it is.

    Only a log that is in order is anchored: it is read whole, and held against the newest checkpoint there. Raises StateError where it is not, and
    StorageError where the bucket cannot be used.
    """
    newest = _newest(bucket, log.key.public)
    verdict = verify_log(log.folder, log.key.public, [newest] if newest else None)
    if not verdict.good:
        raise StateError(f"{verdict.findings[0].fact}: this is not anchored. Run `presage audit verify --anchor {bucket}`.")
    if newest and newest.note and _told(log, bucket, int(newest.name)):
        return Checkpoint.parse(newest.note, log.key.public, newest.where)
    made = log.checkpoint()
    key, note = f"{PREFIX}{made.size:010}", log.key.sign(made)
    if not bucket.write_locked(key, note, now + keep) and note not in _notes(bucket, key):
        raise StateError(f"{bucket}/{key} is taken by something else. Run `presage audit verify --anchor {bucket}`.")
    until = (now + keep).astimezone(UTC).isoformat(timespec="seconds")
    log.append("anchored", str(bucket), {"entries": made.size, "root": made.root.hex(), "until": until}, at=now)
    return made


def anchored_checkpoints(bucket: LockingStorage) -> Iterator[Anchored]:
    """Every version there is, by size; a marker only where it hides one."""
    found = sorted(bucket.versions(PREFIX), key=lambda one: (one.key, one.written))
    kept = {one.key for one in found if not one.marker}
    for one in found:
        where, name = f"{bucket}/{one.key}", one.key.removeprefix(PREFIX)
        if not one.marker:
            yield Anchored(f"{where} (version {one.version})", name, bucket.read_version(one.key, one.version, _LIMIT))
        elif one.key in kept:
            yield Anchored(where, name, None)


def _newest(bucket: LockingStorage, key: VerifyingKey) -> Anchored | None:
    """The largest checkpoint of this log. What else lies there is told by verification, and keeps nobody from anchoring."""
    for one in sorted(bucket.versions(PREFIX), key=lambda one: one.key, reverse=True):
        if one.marker:
            continue
        found = Anchored(f"{bucket}/{one.key}", one.key.removeprefix(PREFIX), bucket.read_version(one.key, one.version, _LIMIT))
        try:
            named(found, key)
        except StateError:
            continue
        return found
    return None


def _notes(bucket: LockingStorage, key: str) -> Iterator[bytes]:
    return (bucket.read_version(key, one.version, _LIMIT) for one in bucket.versions(key) if not one.marker)


def _told(log: AuditLog, bucket: LockingStorage, size: int) -> bool:
    """Whether the log says that so many entries are anchored there, and nothing came after but anchoring."""
    told = False
    for entry in log.entries():
        if entry.n >= size and entry.kind != "anchored":
            return False
        told = told or (entry.n >= size and entry.subject == str(bucket) and entry.facts.get("entries") == size)
    return told
