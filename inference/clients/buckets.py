"""A token bucket a client: who may ask now, and who is told to wait.

    clients = Clients(limits, perf_counter, identify=lambda header: caller(header, gateway), probes=frozenset())
    clients.admit(request, perf_counter())        # returns, or raises LimitReached

One replica counts for itself, so a client's limit is that of each replica it reaches. A client whose header was seen before costs one
look-up and a few additions.
"""

from collections.abc import Callable
from math import ceil

from inference.clients.certificates import HEADER, UNNAMED
from inference.clients.limits import ClientLimits, Limit
from inference.server.exchange import HttpRequest
from presage.errors import RequestRefused

MOST_HEADERS = 4096
"""Headers whose client is remembered. A client behind the gateway has one for each certificate of its own and of the gateway."""
LONGEST_HEADER = 1024
"""Bytes of a header that is remembered; longer ones are read each time."""
MOST_UNNAMED = 4096
"""Clients not named in the file that have a bucket of their own; those beyond it share the one of callers without an id."""


class LimitReached(RequestRefused):
    """The client's bucket is empty. retry_after: whole seconds until it may ask again."""

    def __init__(self, limit: Limit, seconds: float) -> None:
        self.retry_after = max(1, ceil(seconds))
        allowed = f"{limit.requests_per_minute:g} times a minute, {limit.burst} at once"
        super().__init__(429, "client-limit", f"This client has asked as often as it may ({allowed}). Ask again in {self.retry_after} s.")


class Bucket:
    """Tokens of one client; a request takes one, time brings them back up to the burst."""

    __slots__ = ("_at", "_burst", "_per_second", "_tokens", "limit")

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit = limit
        self._per_second = limit.requests_per_minute / 60.0
        self._burst = self._tokens = float(limit.burst)
        self._at = now

    def take(self, now: float) -> float:
        """0 where a token was there (and is gone now), else the seconds until there is one. now: never less than before."""
        tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if tokens >= 1.0:
            self._tokens = tokens - 1.0
            return 0.0
        self._tokens = tokens
        return (1.0 - tokens) / self._per_second

    def limited_to(self, limit: Limit, now: float) -> "Bucket":
        """Another limit for the same client: what it has left it keeps, as far as the new burst goes."""
        if limit == self.limit:
            return self
        bucket = Bucket(limit, now)
        left = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        bucket._tokens = min(bucket._burst, left)
        return bucket

    def full(self, now: float) -> bool:
        """Whether it says no more than a new one would."""
        return self._tokens + (now - self._at) * self._per_second >= self._burst


class Clients:
    """All clients of one replica. identify: header → SPIFFE id (UNNAMED where it has none), None where no header is to be believed;
    then all callers are one. clock: seconds, never going back. probes: paths that a caller without an id asks for free, for so do kubelet and Prometheus."""

    def __init__(self, limits: ClientLimits, clock: Callable[[], float], *, identify: Callable[[bytes], str] | None, probes: frozenset[str]) -> None:
        now = clock()
        self._clock = clock
        self._limits = limits
        self._identify = identify
        self._probes = probes
        self._buckets = {name: Bucket(limit, now) for name, limit in limits.clients.items()}
        self._strangers: dict[str, Bucket] = {}
        self._nobody = Bucket(limits.default, now)
        self._known: dict[bytes, Bucket] = {}

    def admit(self, request: HttpRequest, now: float) -> None:
        """Take a token of the caller's. now: what the clock said a moment ago.

        Raises LimitReached, and RequestRefused(400, "client-identity") where the header that names the caller cannot be read.
        """
        header = request.headers.get(HEADER) if self._identify is not None else None
        bucket = self._nobody if header is None else self._known.get(header) or self._bucket(header, now)
        if bucket is self._nobody and request.path in self._probes:
            return
        seconds = bucket.take(now)
        if seconds:
            raise LimitReached(bucket.limit, seconds)

    def replace(self, limits: ClientLimits) -> None:
        """Other limits from now on; nobody's bucket is filled by the change."""
        old, default, now = self._buckets, limits.default, self._clock()
        self._buckets = {}
        for name, limit in limits.clients.items():
            before = old.get(name) or self._strangers.get(name)
            self._buckets[name] = before.limited_to(limit, now) if before else Bucket(limit, now)
        strangers = {**self._strangers, **old}
        self._strangers = {name: bucket.limited_to(default, now) for name, bucket in strangers.items() if name not in self._buckets}
        self._nobody = self._nobody.limited_to(default, now)
        self._limits = limits
        self._known.clear()

    def _bucket(self, header: bytes, now: float) -> Bucket:
        assert self._identify is not None
        client = self._identify(header)
        bucket = self._nobody if client == UNNAMED else self._buckets.get(client) or self._strangers.get(client) or self._stranger(client, now)
        if len(header) <= LONGEST_HEADER:
            if len(self._known) >= MOST_HEADERS:
                self._known.clear()
            self._known[header] = bucket
        return bucket

    def _stranger(self, client: str, now: float) -> Bucket:
        if len(self._strangers) >= MOST_UNNAMED:
            self._strangers = {name: bucket for name, bucket in self._strangers.items() if not bucket.full(now)}
            self._known.clear()  # a bucket that is forgotten here must not live on there
        if len(self._strangers) >= MOST_UNNAMED:
            return self._nobody
        bucket = self._strangers[client] = Bucket(self._limits.default, now)
        return bucket
