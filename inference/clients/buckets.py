"""A bucket a client: who may ask now, and who is told to wait. A request counts as one, however many rows it asks about.

    clients = Clients(limits, perf_counter, identify=lambda header: caller(header, gateway), probes=frozenset())
    clients.admit(headers, path, perf_counter())        # who it is, or LimitReached, QuotaUsed, CertificateRevoked

One replica counts for itself, unless inference.clients.shared has it count with the others. A client whose header was seen before costs one
look-up and a few additions, either way.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import NamedTuple

from inference.clients.certificates import HEADER, UNNAMED
from inference.clients.limits import ClientLimits, Limit
from presage.errors import RequestRefused

MOST_HEADERS = 4096
"""Headers whose client is remembered. A client behind the gateway has one for each certificate of its own and of the gateway."""
LONGEST_HEADER = 1024
"""Bytes of a header that is remembered; longer ones are read each time."""
MOST_UNNAMED = 4096
"""Clients not named in the file that have a bucket of their own; those beyond it share the one of callers without an id."""
DAY = 86400.0
_LOOK_AGAIN = 1.0  # seconds between looks at a shared bucket that nobody asks from and that is not full
_LEAST_ADVANCE = 64
_SHARE_OF_BURST = 4


class LimitReached(RequestRefused):
    """The client's bucket is empty. retry_after: whole seconds until it may ask again."""

    def __init__(self, limit: Limit, seconds: float) -> None:
        after = max(1, ceil(seconds))
        allowed = f"{limit.requests_per_minute:g} times a minute, {limit.burst} at once"
        super().__init__(429, "client-limit", f"This client has asked as often as it may ({allowed}). Ask again in {after} s.", after)


class QuotaUsed(RequestRefused):
    """The client's requests of this day (UTC) are used up. retry_after: whole seconds until the next day."""

    def __init__(self, limit: Limit, seconds: float) -> None:
        after = max(1, ceil(seconds))
        message = f"This client has used its {limit.requests_per_day} requests of today (UTC). Ask again in {after} s."
        super().__init__(429, "client-quota", message, after)


class CertificateRevoked(RequestRefused):
    def __init__(self) -> None:
        super().__init__(403, "client-revoked", "This client's certificate is revoked. Come with a new one.")


@dataclass(frozen=True)
class Account:
    """What a shared bucket tells the others. debt: tokens that were spent before they were granted; want: tokens that it would have now, the debt
    among them (negative: gives back); spent: requests of today that the others do not know of; ends: of the day that they belong to."""

    bucket: "Bucket"
    debt: int
    want: int
    spent: int
    ends: float

    @property
    def spent_today(self) -> int:
        """None of another day: what is told late must not count twice as much today."""
        return self.spent if self.ends == self.bucket.ends else 0


class Share(NamedTuple):
    """What a bucket is told. granted: tokens, negative where it gave some back; remote: tokens left in the shared bucket; used: requests of
    today, of all replicas; ends: of the day, by the caller's clock."""

    granted: int
    remote: float
    used: int
    ends: float


class Bucket:
    """Tokens of one client at this replica; a request takes one.

    alone: time brings them back, up to the burst. shared: they are leased from a bucket that all replicas have (inference.clients.shared), so
    time brings none; `advance` of them may be spent before they are granted, as long as the shared bucket was seen to have so many.
    """

    __slots__ = (
        "_advance", "_asked", "_at", "_cap", "_ends", "_floor", "_left", "_look_at", "_per_second", "_refill", "_remote", "_shared", "_spent", "_tokens",
        "limit", "name",
    )  # fmt: skip
    limit: Limit
    _tokens: float
    _at: float
    _left: float
    _ends: float
    _floor: float
    _remote: float
    _refill: float
    _per_second: float
    _cap: float
    _advance: float
    _look_at: float

    def __init__(self, limit: Limit, now: float, name: str = UNNAMED, ends: float = inf) -> None:
        """ends: when this day does, by the caller's clock."""
        self.name = name
        self._configure(limit, ends)
        self._tokens, self._floor, self._at, self._shared = self._cap, 1.0, now, False
        self._remote, self._look_at = self._cap, now
        self._asked = self._spent = 0

    def take(self, now: float) -> float:
        """0 where a token was there (and is gone now), else the seconds until there is one. now: never less than before."""
        if now >= self._ends:
            self._next_day(now)
        tokens = min(self._cap, self._tokens + (now - self._at) * self._refill)
        self._at = now
        self._asked += 1
        if tokens >= self._floor and self._left >= 1.0:
            self._tokens = tokens - 1.0
            self._left -= 1.0
            self._spent += 1
            return 0.0
        self._tokens = tokens
        return self._wait(now)

    def refusal(self, seconds: float) -> RequestRefused:
        """Why `take` said `seconds`."""
        return QuotaUsed(self.limit, seconds) if self._left < 1.0 else LimitReached(self.limit, seconds)

    def limit_to(self, limit: Limit, now: float, ends: float = inf) -> None:
        """Another limit from now on: what the client has left it keeps, as far as the new burst goes, and what it has used today stays used."""
        if limit == self.limit:
            return
        left = min(self._cap, self._tokens + (now - self._at) * self._refill)
        used = self.limit.requests_per_day - self._left if self.limit.requests_per_day else 0
        self._configure(limit, ends)
        self._left = max(0.0, self._left - used)
        self._tokens, self._at = min(float(limit.burst), left), now
        if self._shared:
            self._tokens, self._cap, self._refill = left, inf, 0.0
            self._seen(min(self._remote, float(limit.burst)), now)

    def _configure(self, limit: Limit, ends: float) -> None:
        self.limit = limit
        self._per_second = self._refill = limit.requests_per_minute / 60.0
        self._cap = float(limit.burst)
        self._left = float(limit.requests_per_day or inf)
        self._ends = ends if limit.requests_per_day else inf
        self._advance = float(min(limit.burst, max(_LEAST_ADVANCE, ceil(limit.burst / _SHARE_OF_BURST))))

    def full(self, now: float) -> bool:
        """Whether it says no more than a new one would."""
        if self._left < (self.limit.requests_per_day or 0):
            return False
        if self._shared:
            return self._tokens == 0.0 and self._remote >= self.limit.burst
        return self._tokens + (now - self._at) * self._refill >= self._cap

    def account(self, now: float) -> Account | None:
        """What to tell the others; None where nothing has changed since the last time."""
        if now >= self._ends:
            self._next_day(now)
        spent = self._spent if self.limit.requests_per_day else 0
        held = int(self._tokens) if self._shared else 0
        want = min(2 * self._asked, self.limit.burst) - held
        if not (self._asked or spent or want) and not (self._remote < self.limit.burst and now >= self._look_at):
            return None
        self._asked, self._look_at = 0, now + _LOOK_AGAIN
        return Account(self, max(0, -held), want, spent, self._ends)

    @property
    def ends(self) -> float:
        """When the day does that its quota counts, by the caller's clock; inf where it has none."""
        return self._ends

    def settle(self, account: Account, share: Share, now: float) -> None:
        """What the others said to `account`."""
        self._spent -= account.spent_today
        self._tokens += share.granted
        if self.limit.requests_per_day:
            self._left, self._ends = max(0.0, float(self.limit.requests_per_day - share.used - self._spent)), share.ends
        self._seen(share.remote, now)

    def together(self, now: float) -> None:
        """From now on tokens are leased. What the shared bucket holds is not known yet: it is taken for full."""
        if not self._shared:
            self._shared, self._refill, self._cap, self._tokens = True, 0.0, inf, 0.0
            self._seen(float(self.limit.burst), now)

    def alone(self, now: float) -> None:
        """The others cannot be asked: from now on time brings tokens here, starting with what was leased."""
        if self._shared:
            self._shared, self._refill, self._cap, self._floor = False, self._per_second, float(self.limit.burst), 1.0
            self._tokens, self._at = min(max(0.0, self._tokens), self._cap), now

    def _seen(self, remote: float, now: float) -> None:
        self._remote, self._at = remote, now
        self._floor = 1.0 - float(int(min(self._advance, max(0.0, remote))))

    def _wait(self, now: float) -> float:
        if self._left < 1.0:
            return max(1.0, self._ends - now)
        missing = 1.0 - (self._remote if self._shared else self._tokens)
        return max(missing / self._per_second, 1e-3)

    def _next_day(self, now: float) -> None:
        self._spent = 0
        self._left = float(self.limit.requests_per_day or inf)
        while self._ends <= now:
            self._ends += DAY


class Clients:
    """All clients of one replica. identify: header → SPIFFE id (UNNAMED where it has none), None where no header is to be believed;
    then all callers are one. certificate: header → fingerprint of the caller's certificate, None where nobody looks at revocations.
    clock: seconds, never going back; wall: Unix seconds, of which a day is made. probes: paths that a caller without an id asks for free, for so
    do kubelet and Prometheus."""

    def __init__(
        self, limits: ClientLimits, clock: Callable[[], float], *, identify: Callable[[bytes], str] | None, probes: frozenset[str],
        certificate: Callable[[bytes], str] | None = None, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        now = clock()
        self._clock, self._wall = clock, wall
        self._limits = limits
        self._identify, self._certificate = identify, certificate
        self._probes = probes
        ends = self._day_ends(now)
        self._buckets = {name: Bucket(limit, now, name, ends) for name, limit in limits.clients.items()}
        self._strangers: dict[str, Bucket] = {}
        self._nobody = Bucket(limits.default, now, UNNAMED, ends)
        self._known: dict[bytes, Bucket] = {}
        self._revoked: frozenset[str] = frozenset()
        self._shared = False

    def admit(self, headers: Mapping[bytes, bytes], path: str, now: float) -> str:
        """Take a token of the caller's; who it is (UNNAMED where nobody says). now: what the clock said a moment ago.

        Raises LimitReached, QuotaUsed, CertificateRevoked, and RequestRefused(400, "client-identity") where the header that names the caller
        cannot be read.
        """
        header = headers.get(HEADER) if self._identify is not None else None
        bucket = self._nobody if header is None else self._known.get(header) or self._bucket(header, now)
        if bucket is self._nobody and path in self._probes:
            return UNNAMED
        seconds = bucket.take(now)
        if seconds:
            raise bucket.refusal(seconds)
        return bucket.name

    def replace(self, limits: ClientLimits) -> None:
        """Other limits from now on; nobody's bucket is filled by the change."""
        now = self._clock()
        ends, before = self._day_ends(now), {**self._strangers, **self._buckets}
        self._buckets = {name: before.pop(name) if name in before else self._made(limit, now, name) for name, limit in limits.clients.items()}
        self._strangers = before
        for name, bucket in self._buckets.items():
            bucket.limit_to(limits.clients[name], now, ends)
        for bucket in (self._nobody, *before.values()):
            bucket.limit_to(limits.default, now, ends)
        self._limits = limits
        self._known.clear()

    def revoke(self, certificates: frozenset[str]) -> None:
        """Refuse these from now on, and no others: fingerprints as `certificate` returns them."""
        self._revoked = certificates
        self._known.clear()

    def together(self) -> None:
        """Tokens are leased from now on, for whoever comes, too (inference.clients.shared)."""
        self._shared, now = True, self._clock()
        for bucket in self.buckets():
            bucket.together(now)

    def alone(self) -> None:
        """Each bucket counts for itself from now on."""
        self._shared, now = False, self._clock()
        for bucket in self.buckets():
            bucket.alone(now)

    def buckets(self) -> Iterator[Bucket]:
        """Every one there is."""
        yield self._nobody
        yield from self._buckets.values()
        yield from self._strangers.values()

    def _day_ends(self, now: float) -> float:
        return now + DAY - self._wall() % DAY

    def _bucket(self, header: bytes, now: float) -> Bucket:
        assert self._identify is not None
        if self._revoked and self._certificate is not None and self._certificate(header) in self._revoked:
            raise CertificateRevoked
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
        bucket = self._strangers[client] = self._made(self._limits.default, now, client)
        return bucket

    def _made(self, limit: Limit, now: float, client: str) -> Bucket:
        bucket = Bucket(limit, now, client, self._day_ends(now))
        if self._shared:
            bucket.together(now)
        return bucket
