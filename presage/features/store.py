"""The online store: the newest feature row of each entity, where the request path can read it in microseconds.

    store = open_online_store("sqlite:.presage/online.db")
    store.put_service("incident", bound, source="simulated", clock=clock)
    store.write("incident", rows)                   # an older row never replaces a newer one
    [row] = store.read("incident", ["server-01"])   # None where nothing is known

One interface and two stores: a SQLite file, for what runs on one node, and Redis, for predictors on several. One blob an entity and feature
service, so that a read is one look-up however many features the row has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from presage.errors import UsageError
from presage.features.declaration import BoundView
from presage.telemetry.clock import StreamClock

REDIS_KINDS = ("redis", "rediss", "unix")
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class OnlineRow:
    """One entity's features at one tick; NaN = unknown.

    entity: its id. time: the tick, Unix seconds of event time. version: of the declaration (16 hex digits).
    values: float32 [features], in the order of `BoundView.names`. coverage: float32 [windows]. history: float32
    [history, metrics], per-tick means, oldest first, the last one ending at `time`. Rows that were read are read-only views.
    """

    entity: str
    time: float
    version: str
    values: Floats
    coverage: Floats
    history: Floats


@dataclass(frozen=True)
class ServiceDescription:
    """What a feature service holds: the declaration its rows follow, the source that feeds it and that source's clock
    (how old a row is: `clock.now(wall) - row.time`)."""

    bound: BoundView
    source: str
    clock: StreamClock


class OnlineStore(Protocol):
    """Implementations are safe for one writing process beside any number of readers; one instance serves one thread at a time.

    heals: whether it works again by itself after a StateError; one that does not is closed and opened anew."""

    heals: bool

    def put_service(self, service: str, bound: BoundView, source: str, clock: StreamClock) -> None:
        """Make or renew a service. Rows of another declaration or source are dropped, and rows that the new clock has not
        reached yet: a stream that starts over starts from nothing."""

    def describe(self, service: str) -> ServiceDescription | None:
        """The service as it was put last; None where there is none."""

    def write(self, service: str, rows: Sequence[OnlineRow]) -> int:
        """Replace rows by newer ones, all or none. Returns how many were taken: one older than what is stored is left."""

    def read(self, service: str, entities: Sequence[str]) -> list[OnlineRow | None]:
        """The rows of these entities, in their order; None where an entity is unknown."""

    def entities(self, service: str) -> list[str]:
        """Every entity that has a row, sorted."""

    def close(self) -> None:
        """Let the store go; more than once is harmless."""


def open_online_store(url: str, read_only: bool = False) -> OnlineStore:
    """The store at `url`: `sqlite:PATH`, or a Redis as presage.redis writes it (`redis://HOST:PORT/DB`).

    read_only: never makes or changes anything. Raises UsageError on an unknown kind, StateError where a file cannot be opened; a Redis
    that is out says so when it is asked.
    """
    kind, _, place = url.partition(":")
    if kind in REDIS_KINDS and place.startswith("//"):
        from presage.features.redis_store import RedisOnlineStore
        from presage.redis import RedisPlace

        return RedisOnlineStore(RedisPlace.parse(url), read_only=read_only)
    if kind != "sqlite" or not place:
        raise UsageError(f"{url!r} names no online store. Write sqlite:PATH, redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///SOCKET.")
    from presage.features.sqlite_store import SqliteOnlineStore

    return SqliteOnlineStore(Path(place.removeprefix("//")), read_only=read_only)
