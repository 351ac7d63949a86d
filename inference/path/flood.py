"""The very same row, over and over, from one caller: nobody's telemetry does that for long.

Counted in a sketch of fixed size, whatever is sent: four rows of counters, each place chosen by a keyed hash of caller and row (nobody
can aim at somebody else's counters), of which the smallest tells. Two minutes are kept, the one that runs and the one before, weighted by
how much of it still lies within the last sixty seconds. What other rows add by chance is taken off.

Only rows that callers give are counted: asking for a server's newest prediction again and again is what dashboards do.
"""

import secrets
from array import array
from collections.abc import Callable
from hashlib import blake2b
from math import ceil
from struct import Struct

from inference.path.request import PathRequest, Step
from presage.errors import RequestRefused

WINDOW = 60.0
"""Seconds."""
IN_PROCESS = frozenset({"batch", "stream"})
"""Doors that nobody outside can use."""
_WIDTH, _PLACES = 1 << 16, Struct("<4H")
_CALLERS = 256  # whose hashes are kept begun
_ONE_BY_ONE = 16  # rows of a request that are counted each; a larger request is counted as one


class Replays:
    """How often each caller sent the same row lately; about 2 MiB, for ever. clock: seconds, never going back."""

    def __init__(self, clock: Callable[[], float], key: bytes | None = None) -> None:
        self._clock, self._key = clock, key or secrets.token_bytes(16)
        self._hashers: dict[str, blake2b] = {}
        self._now, self._before = _counters(), _counters()
        self._seen = self._seen_before = 0
        self._began = clock()

    def count(self, caller: str, row: bytes) -> float:
        """Count one, and tell how many there were within the last minute, this one included."""
        age = self._age()
        hasher = (self._hashers.get(caller) or self._hasher(caller)).copy()
        hasher.update(row)
        a, b, c, d = _PLACES.unpack(hasher.digest())  # no loop over the four: this is once a request
        now_a, now_b, now_c, now_d = self._now
        more = min(now_a[a], now_b[b], now_c[c], now_d[d]) + 1
        now_a[a] = max(now_a[a], more)  # a larger one counts others, too
        now_b[b] = max(now_b[b], more)
        now_c[c] = max(now_c[c], more)
        now_d[d] = max(now_d[d], more)
        self._seen += 1
        present: float = more - (self._seen - more) / _WIDTH
        present = max(present, 1.0)
        if not self._seen_before:
            return present
        before_a, before_b, before_c, before_d = self._before
        kept = min(before_a[a], before_b[b], before_c[c], before_d[d])
        past: float = kept - (self._seen_before - kept) / _WIDTH
        return present + max(0.0, past) * (1.0 - age / WINDOW)

    def forgotten_in(self) -> float:
        """Seconds after which nothing that was counted until now counts any more."""
        return 2 * WINDOW - self._age()

    def _hasher(self, caller: str) -> blake2b:
        """Begun with the key and the caller; a copy of it goes on with a row."""
        if len(self._hashers) >= _CALLERS:
            self._hashers.clear()
        salt = blake2b(caller.encode(), digest_size=16).digest()
        hasher = self._hashers[caller] = blake2b(digest_size=_PLACES.size, key=self._key, salt=salt)
        return hasher

    def _age(self) -> float:
        """Seconds since the present minute began."""
        now = self._clock()
        if (age := now - self._began) < WINDOW:
            return age
        if age < 2 * WINDOW:
            self._now, self._before, self._seen, self._seen_before = self._before, self._now, 0, self._seen
        else:
            self._before, self._seen, self._seen_before = _counters(), 0, 0
        self._now = _counters()
        self._began = now - age % WINDOW
        return age % WINDOW


def _counters() -> list["array[int]"]:
    return [array("I", bytes(4 * _WIDTH)) for _ in range(4)]


def refuse_replays(replays: Replays, most: int) -> Step:
    """Refuses with 429 a row that its caller sent more than `most` times within a minute."""

    def step(request: PathRequest) -> None:
        x = request.x
        if request.servers is not None or x is None or request.endpoint in IN_PROCESS or request.shadow_of:
            return
        if 1 < len(x) <= _ONE_BY_ONE:
            count = max(replays.count(request.caller, row) for row in {row.tobytes() for row in x})
        else:
            count = replays.count(request.caller, x.tobytes())
        if count > most:
            message = f"The very same row came {int(count)} times within a minute; {most} are allowed. Send new values, or ask for servers by name."
            raise RequestRefused(429, "replayed", message, retry_after=ceil(replays.forgotten_in()))

    return step
