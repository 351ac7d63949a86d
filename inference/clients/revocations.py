"""Certificates of callers that are refused though they have not ended: one small file, looked at twice a second.

    {"schema": "presage.client-revocations/v1",
     "certificates": [{"sha256": "3f…", "from": 1790000000, "until": 1792592000, "client": "spiffe://…/sa/operators", "because": "laptop stolen"}]}

sha256: of the certificate (DER), as `x-forwarded-client-cert` says it (Hash). from: Unix seconds; a time to come leaves the old certificate an
overlap with its successor. until: when the certificate itself ends, so that the line can go. A proxy looks at revocation lists when a connection
opens; here each request is looked at, so that connections which are open already end being useful, too.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from inference.clients.files import WatchedFile
from inference.server.json_body import refuse_repeated_keys
from presage.errors import InputError, RequestRefused
from presage.logs import get_logger

_log = get_logger("presage.clients")
_Fingerprint = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Revoked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    sha256: _Fingerprint
    since: float
    until: float
    client: str = ""
    because: str = ""


class Revocations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["presage.client-revocations/v1"]
    certificates: tuple[Revoked, ...]

    def effective(self, wall: float) -> frozenset[str]:
        """Fingerprints that are refused now. wall: Unix seconds."""
        return frozenset(revoked.sha256 for revoked in self.certificates if revoked.since <= wall)


NONE = Revocations("presage.client-revocations/v1", ())
_decoder = msgspec.json.Decoder(Revocations)


def parse_revocations(content: bytes, place: str) -> Revocations:
    """The document in `content`; place: the file, for the sentence. Raises InputError."""
    try:
        found = _decoder.decode(content)
        refuse_repeated_keys(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{place}: no list of revoked certificates ({error}). `presage access revoke` writes it.") from None
    except RequestRefused as error:
        raise InputError(f"{place}: {error.message}") from None
    return found


class RevocationsFile(WatchedFile[Revocations]):
    """One such file. Where there is none yet nothing is revoked; one that was there and goes leaves what it said in force."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, parse_revocations, "the list of revoked certificates", "`presage access revoke` writes it; name it with --client_revocations.")

    def begin(self) -> Revocations:
        """As it is at the start. Raises InputError where there is one that cannot be used."""
        if self.path.exists():
            return self.read()
        _log.warning("no list of revoked certificates yet, so none is refused", file=str(self.path))
        self._seen = self._stamp()
        return NONE


class Following:
    """Keeps callers refused as the file says and as time goes on. take: what is refused now, at each change."""

    def __init__(self, file: RevocationsFile, take: Callable[[frozenset[str]], None], wall: Callable[[], float]) -> None:
        self._file, self._take, self._wall = file, take, wall
        self._said, self._refused = file.begin(), frozenset[str]()
        self._apply()

    def look(self) -> None:
        try:
            if (changed := self._file.changed()) is not None:
                self._said = changed
        except InputError as error:
            _log.error("revoked certificates not taken, the old list holds", reason=error.message)
        self._apply()

    async def run(self, every: float = 0.5) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(every)
            self.look()

    def _apply(self) -> None:
        refused = self._said.effective(self._wall())
        if refused != self._refused:
            self._refused = refused
            self._take(refused)
            _log.info("revoked certificates taken", file=str(self._file.path), certificates=len(refused))
