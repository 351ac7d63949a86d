"""A connection beyond those allowed: told so, once, and closed."""

import asyncio
from typing import TYPE_CHECKING

from inference.server.fast.refusals import crowded
from inference.server.fast.wire import bare

if TYPE_CHECKING:
    from inference.server.fast.door import FastDoor

SECONDS = 2.0
"""How long one may stay: the answer waits for the question, or closing would reset the connection under it."""


class TurnedAway(asyncio.Protocol):
    """Answers 503 to the first bytes. The crowd has a bound of its own, beyond which a connection is cut without a word."""

    __slots__ = ("_answered", "_door", "_since", "transport")

    transport: asyncio.Transport

    def __init__(self, door: "FastDoor") -> None:
        self._door, self._answered = door, False
        self._since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        crowd = self._door.crowd
        crowd.add(self)
        if len(crowd) > max(16, self._door.limits.connections // 8):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._answered and not self.transport.is_closing():
            self._answered = True
            self.transport.write(bare(crowded(self._door.limits)))
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.crowd.discard(self)
        self._door.left()

    def sweep(self, now: float) -> None:
        if self._since is None:
            self._since = now
        elif now - self._since > SECONDS:
            self.transport.abort()
