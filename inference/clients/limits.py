"""How often each client may ask: one small file, read strictly, read again when it changes.

    file = LimitsFile(Path("/etc/presage/access/limits.json"))
    file.read()          ClientLimits, or InputError
    file.changed()       ClientLimits once after each change, else None

A ConfigMap's volume is swapped by a symbolic link, an editor's file by a rename: the file behind the name is looked at, whichever it is.
"""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import structlog

from inference.server.json_body import refuse_repeated_keys
from presage.errors import InputError, RequestRefused

SCHEMA = "presage.client-limits/v1"
LARGEST = 1 << 20
"""Bytes of the file; a line a client, so some ten thousand of them."""
_log = structlog.get_logger("presage.clients")


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """requests_per_minute: what is granted in the long run; burst: how many may come at once after a pause."""

    requests_per_minute: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class ClientLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """clients: by SPIFFE id; default: of each client that is not named, and of all together who have no id."""

    schema: Literal["presage.client-limits/v1"]
    clients: dict[str, Limit]
    default: Limit


_decoder = msgspec.json.Decoder(ClientLimits)


def parse_limits(content: bytes, place: str) -> ClientLimits:
    """The document in `content`; place: the file, for the sentence. Raises InputError."""
    try:
        limits = _decoder.decode(content)
        refuse_repeated_keys(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{place}: no client limits ({error}). Write the document that `presage policies render` makes.") from None
    except RequestRefused as error:
        raise InputError(f"{place}: {error.message}") from None
    for name in limits.clients:
        if not name.startswith("spiffe://"):
            raise InputError(f"{place}: the client {name[:100]!r} is no SPIFFE id. Write spiffe://<trust domain>/ns/<namespace>/sa/<account>.")
    return limits


class LimitsFile:
    """One such file and what was last seen of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None

    def read(self) -> ClientLimits:
        """As it is now. Raises InputError."""
        self._seen = self._stamp()
        try:
            status = self.path.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                raise InputError(f"{self.path}: no plain file of at most {LARGEST} bytes. Name the limits of clients with --client_limits.")
            content = self.path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.path}: the limits of clients cannot be read ({error.strerror}). Name them with --client_limits.") from None
        return parse_limits(content, str(self.path))

    def changed(self) -> ClientLimits | None:
        """What it has become since it was last looked at, None where it is the same. Raises InputError, once a change."""
        return self.read() if self._stamp() != self._seen else None

    def _stamp(self) -> tuple[int, ...]:
        try:
            status = self.path.stat()
        except OSError:
            return ()
        return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


async def follow(file: LimitsFile, take: Callable[[ClientLimits], None], every: float = 1.0) -> None:
    """Hand on each change until cancelled. What cannot be used is said in the log, and the limits that hold go on holding."""
    while True:
        await asyncio.sleep(every)
        try:
            limits = file.changed()
        except InputError as error:
            _log.error("client limits not taken, the old ones hold", reason=error.message)
            continue
        if limits is not None:
            take(limits)
            _log.info("client limits taken", file=str(file.path), clients=len(limits.clients))
