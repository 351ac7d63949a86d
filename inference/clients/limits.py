"""How often each client may ask: one small file, read strictly, read again when it changes.

    file = LimitsFile(Path("/etc/presage/access/limits.json"))
    file.read()          ClientLimits, or InputError
    file.changed()       ClientLimits once after each change, else None
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

SCHEMA = "presage.client-limits/v1"
_log = get_logger("presage.clients")


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """requests_per_minute: what is granted in the long run; burst: how many may come at once after a pause; requests_per_day: the quota,
    by UTC's days, None = none. A request is one, however many rows it asks about."""

    requests_per_minute: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
    requests_per_day: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)] | None = None


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


class LimitsFile(WatchedFile[ClientLimits]):
    """One such file and what was last seen of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, parse_limits, "the limits of clients", "Name them with --client_limits.")


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
