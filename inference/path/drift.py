"""Which members have drifted beyond their limit, as somebody who watches says: the path only listens.

`Drift` is the interface; `DriftFile` reads it from a small file that a monitoring job writes:

    {"schema": "presage.drift/v1", "members": {"primary": {"test": "psi", "value": 0.31, "limit": 0.25}}}

A member leaves when its value passes the limit and comes back only below a share of it, so that a value at the limit does not make it flap.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from presage.logs import get_logger

_log = get_logger("presage.path")
_LARGEST = 1 << 20


class Drifted(msgspec.Struct, frozen=True):
    """test: what was measured (`psi`, `ks`, …); value and limit: in its unit."""

    test: str
    value: float
    limit: float


class Drift(Protocol):
    def of(self, member: str) -> Drifted | None:
        """The newest measurement of a member (id), None where nobody measures."""


class NoDrift:
    """Nobody measures."""

    def of(self, member: str) -> Drifted | None:
        return None


class _Document(msgspec.Struct, frozen=True):
    schema: str
    members: dict[str, Drifted]


class DriftFile:
    """Looked at again at most every `every` seconds. What cannot be read is said in the log, and what was known goes on holding."""

    def __init__(self, path: Path, clock: Callable[[], float], every: float = 1.0) -> None:
        self._path, self._clock, self._every = path, clock, every
        self._looked = float("-inf")
        self._stamp: tuple[int, ...] = ()
        self._members: dict[str, Drifted] = {}

    def of(self, member: str) -> Drifted | None:
        now = self._clock()
        if now - self._looked >= self._every:
            self._looked = now
            self._look()
        return self._members.get(member)

    def _look(self) -> None:
        try:
            status = self._path.stat()
        except OSError:
            return
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            if status.st_size > _LARGEST:
                raise ValueError(f"{status.st_size} bytes")
            document = msgspec.json.decode(self._path.read_bytes(), type=_Document)
            if document.schema != "presage.drift/v1":
                raise ValueError(document.schema[:60])
        except (OSError, ValueError) as error:
            _log.error("drift not taken, the last one holds", file=str(self._path), reason=str(error))
            return
        self._members = document.members


class DriftGate:
    """One member's way out and back. share: of the limit below which it comes back."""

    def __init__(self, member: str, drift: Drift, share: float) -> None:
        self._member, self._drift, self._share = member, drift, share
        self._out = False

    def reason(self) -> str | None:
        """Why the member may not answer now; None where it may."""
        seen = self._drift.of(self._member)
        if seen is None:
            self._out = False
            return None
        self._out = seen.value > (seen.limit * self._share if self._out else seen.limit)
        return f"drift, {seen.test} {seen.value:g} beyond {seen.limit:g}" if self._out else None
