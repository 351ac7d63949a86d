"""The online store as the path sees it: opened when it is there, read at once, clocked by its own source.

The feature refresh makes the store, so a server may start before it exists: until then no row can be looked up, and it is as if it
were out.
"""

from collections.abc import Sequence

from presage.errors import PresageError, RequestRefused, StateError
from presage.features.store import OnlineRow, OnlineStore, open_online_store
from presage.telemetry.clock import StreamClock


class StoreOut(Exception):
    """The store cannot be read. now: the event time, as far as it is known (the wall's where no clock was ever read)."""

    def __init__(self, now: float) -> None:
        super().__init__("the online store cannot be read")
        self.now = now


class OnlineFeatures:
    """Read-only view of one service's rows. url: as `open_online_store` takes it, or None where the server has no store."""

    def __init__(self, url: str | None, service: str) -> None:
        self.url, self.service = url, service
        self._store: OnlineStore | None = None if url is None or url.startswith("sqlite:") else open_online_store(url, read_only=True)
        self._clock: StreamClock | None = None
        self._clock_read = float("-inf")

    def read(self, entities: Sequence[str], wall: float) -> tuple[list[OnlineRow | None], float]:
        """The rows in the order asked (None = unknown) and the present event time. Raises StoreOut; RequestRefused(503, "features") where
        this server has no store."""
        try:
            store = self._opened()
            return store.read(self.service, list(entities)), self._now(store, wall)
        except RequestRefused:
            raise
        except PresageError as error:
            now = wall if self._clock is None else self._clock.now(wall)
            self._let_go()
            raise StoreOut(now) from error

    def entities(self) -> list[str]:
        """Every server that has a row. Raises RequestRefused(503, "features")."""
        try:
            return self._opened().entities(self.service)
        except RequestRefused:
            raise
        except PresageError as error:
            self._let_go()
            raise self._refused() from error

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = self._clock = None
        self._clock_read = float("-inf")

    def _let_go(self) -> None:
        """Of the store, to open it again with the next request; one that heals by itself stays. Its clock is remembered: event time goes on
        while it is out."""
        if self._store is not None and not self._store.heals:
            self._store.close()
            self._store = None
        self._clock_read = float("-inf")

    def _opened(self) -> OnlineStore:
        if self.url is None:
            raise RequestRefused(503, "features", "This server has no online store: start it with --online_store, or send rows.")
        if self._store is None:
            self._store = open_online_store(self.url, read_only=True)
        return self._store

    def _now(self, store: OnlineStore, wall: float) -> float:
        """Event time by the source's clock; the clock is read again every two seconds, as a restarted source has another."""
        if wall - self._clock_read > 2.0 or wall < self._clock_read:
            description = store.describe(self.service)
            if description is None:
                raise StateError(f"{self.url}: the service {self.service} is not in it yet.")
            self._clock, self._clock_read = description.clock, wall
        assert self._clock is not None
        return self._clock.now(wall)

    def _refused(self) -> RequestRefused:
        return RequestRefused(503, "features", "The online store holds no rows yet. Start the feature refresh, then ask again.")
