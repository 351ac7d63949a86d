"""What a request's headers say beside its body: how long its caller waits, which trace it belongs to, whom it shadows.

    x-envoy-expected-rq-timeout-ms   what is left of the caller's patience, as a proxy passes it on; callers may send it themselves
    traceparent                      W3C trace context
    x-presage-shadow                 the prediction that a shadow is asked about; read by a shadow's server alone
    x-presage-feature-times          the ticks of the rows it was made from; likewise
"""

import re
from collections.abc import Mapping
from math import inf

from inference.path.shadow import MARK
from inference.path.shadow import TICKS as FEATURE_TIMES
from presage.errors import RequestRefused

TIMEOUT, TRACE = b"x-envoy-expected-rq-timeout-ms", b"traceparent"
SHADOW, TICKS = MARK.encode(), FEATURE_TIMES.encode()
_PARENT = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_PREDICTION = re.compile(rb"[0-9a-f-]{1,64}")


def deadline_of(headers: Mapping[bytes, bytes], now: float) -> float:
    """On the clock that says `now`; inf where the caller names none. Raises RequestRefused(400)."""
    given = headers.get(TIMEOUT)
    if given is None:
        return inf
    if not given.isdigit() or len(given) > 9:
        raise RequestRefused(400, "deadline", f"{TIMEOUT.decode()} is {given[:20].decode('latin-1')!r}. Send whole milliseconds.")
    return now + int(given) / 1000


def trace_of(headers: Mapping[bytes, bytes]) -> str:
    """32 hex digits, or "" where there is no trace or none that follows the standard (which asks to go on without it)."""
    given = headers.get(TRACE)
    if given is None or (match := _PARENT.fullmatch(given)) is None or match[1] == b"0" * 32:
        return ""
    return match[1].decode()


def shadowed_by(headers: Mapping[bytes, bytes]) -> str:
    """The prediction that is shadowed; `unknown` where the caller does not say: a shadow's record is always marked."""
    given = headers.get(SHADOW, b"")
    return given.decode() if _PREDICTION.fullmatch(given) else "unknown"


def ticks_of(headers: Mapping[bytes, bytes]) -> list[float | None] | None:
    """Event time (Unix seconds) of each row that was asked about; None where they are not told. Raises RequestRefused(400)."""
    given = headers.get(TICKS)
    if given is None:
        return None
    try:
        return [float(part) if part else None for part in given.split(b",")]
    except ValueError:
        raise RequestRefused(400, "shadow", f"{FEATURE_TIMES} is no list of times. Leave the header to the request path.") from None
