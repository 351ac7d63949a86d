"""One entry of the audit log: a line of canonical JSON that names the digest of the line before it."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from presage.errors import InputError, StateError
from presage.files import canonical_json, sha256_bytes

Kind = Literal[
    "approved", "released", "gate-refused", "admission-refused", "access-denied", "policy-changed", "revoked",
    "retention-deleted", "anchored", "log-accepted",
]
KINDS: tuple[str, ...] = get_args(Kind)
Fact = str | int | float | bool | None
FIRST = "sha256:" + "0" * 64
"""What the first entry names."""
LONGEST = 16 << 10
"""Bytes of an entry: it says what happened, and holds no data."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """n: from 0; at: RFC 3339, UTC; subject: what it is about (a release, an object, a client, a path); facts: flat; previous: `sha256:<hex>` of the
    line before, without its end of line."""

    n: int
    at: str
    kind: str
    subject: str
    facts: dict[str, str | int | float | bool | None]
    previous: str

    def line(self) -> bytes:
        return canonical_json(msgspec.to_builtins(self))

    @property
    def digest(self) -> str:
        return digest_of(self.line())


def digest_of(line: bytes) -> str:
    """What the next entry calls a line."""
    return f"sha256:{sha256_bytes(line)}"


def entry(n: int, at: datetime, kind: str, subject: str, facts: Mapping[str, Fact], previous: str) -> Entry:  # noqa: PLR0917
    """Raises InputError where it cannot be one, or would not be read back as it is."""
    if kind not in KINDS:
        raise InputError(f"{kind[:60]!r} is no kind of entry: {', '.join(KINDS)}. Use one of these.")
    if at.tzinfo is None:
        raise InputError(f"an entry's time {at} has no time zone. Pass an aware datetime.")
    about = str(subject)[:60]
    for name, value in facts.items():
        if not isinstance(value, Fact) or (isinstance(value, float) and not math.isfinite(value)):
            raise InputError(f"the fact {str(name)[:60]!r} of an entry about {about!r} is {str(value)[:60]!r}. Facts are texts and finite numbers.")
    made = Entry(n, at.astimezone(UTC).isoformat(timespec="milliseconds"), kind, subject, dict(facts), previous)
    try:
        line = made.line()
        read = parse_entry(line, n, "here")
    except (TypeError, StateError) as error:  # half of a surrogate pair, a number of more than 64 bits, a name that is no text
        reason = error.message if isinstance(error, StateError) else str(error)
        raise InputError(f"an entry about {about!a} cannot be written ({reason}). Facts are texts and numbers by name.") from None
    if len(line) > LONGEST:
        raise InputError(f"an entry about {about!r} has {len(line)} bytes, and may have {LONGEST}. Say what happened, and leave the data out.")
    return read


def parse_entry(line: bytes, n: int, where: str) -> Entry:
    """Raises StateError where the line is none, or is written otherwise than it was."""
    try:
        found = msgspec.json.decode(line, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateError(f"{where}: entry {n} is no entry ({error})") from None
    if found.line() != line:
        raise StateError(f"{where}: entry {n} is not written as it was")
    try:
        datetime.fromisoformat(found.at)
    except ValueError:
        raise StateError(f"{where}: the time of entry {n} is none") from None
    return found
