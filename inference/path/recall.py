"""Releases and packages that were revoked while they are in service: the path leaves them for the next rung.

    recall = Recall(RevocationList(path, clock), release.digest, member.package)
    recall.reason()                 "revoked: leaks labels", or None

The list is the one that the gate reads before a Pod starts (presage.package.revocation); here it is looked at again once a second, so that what is
revoked stops answering without a restart. A revoked release leaves the rules and the base rate; a revoked package leaves its rung. What cannot
be read is said in the log, and what was known goes on holding: a torn file must not take every server off its model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from presage.errors import ArtifactRefused
from presage.logs import get_logger
from presage.package.revocation import Revocations

_log = get_logger("presage.path")


class RevocationList:
    """Looked at again at most every `every` seconds of `clock`."""

    def __init__(self, path: Path, clock: Callable[[], float], every: float = 1.0) -> None:
        self._path, self._clock, self._every = path, clock, every
        self._looked = float("-inf")
        self._stamp: tuple[int, ...] = ()
        self._revoked: dict[str, str] = {}

    def reason(self, digest: str) -> str | None:
        """Why a release's document or a package's manifest may not be used; None where it may."""
        now = self._clock()
        if now - self._looked >= self._every:
            self._looked = now
            self._look()
        return self._revoked.get(digest) if self._revoked else None

    def _look(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            revoked = {entry.digest: entry.because or "no reason given" for entry in Revocations.open(self._path).revoked}
        except (OSError, ArtifactRefused) as error:
            _log.error("revocations not taken, the last list holds", file=str(self._path), reason=str(error))
            return
        self._stamp = stamp
        if revoked != self._revoked:
            self._revoked = revoked
            _log.info("revocations taken", file=str(self._path), revoked=len(revoked))


@dataclass(frozen=True)
class Recall:
    """One member's: its release's digest and its package's."""

    revocations: RevocationList
    digests: tuple[str, str]

    def reason(self) -> str | None:
        for digest in self.digests:
            if (because := self.revocations.reason(digest)) is not None:
                return f"revoked: {because}"
        return None
