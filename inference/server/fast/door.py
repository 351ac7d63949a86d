"""The listener, its connections, and what is looked at once a second."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from inference.server.fast.connection import Connection
from inference.server.fast.crowd import TurnedAway
from inference.server.fast.target import path_of
from inference.server.fast.wire import AnswerWriter
from inference.server.limits import DoorLimits
from inference.server.service import Service

PIPELINED = 32
"""Requests of one connection that may wait for their answers; no more is read from it meanwhile."""
HALF_SENT = 64 << 20
"""Bytes of half-sent requests that all connections together may hold."""
BUFFER = 64 << 10
"""Bytes of one read. One buffer serves all connections: what is read is parsed before anything else is read."""
_REMEMBERED = 128  # bytes of a request target; longer ones are read each time


async def serve_fast(
    listener: socket.socket, service: Service, limits: DoorLimits, *, keep_alive: float, pipelined: int = PIPELINED, half_sent: int = HALF_SENT,
    every: float = 1.0, clock: Callable[[], float] | None = None, wall: Callable[[], float] = time.time, tls: ssl.SSLContext | None = None,
) -> "FastDoor":  # fmt: skip
    """Answer at `listener` (listening, not blocking; the door closes it) from now on.

    keep_alive: seconds that an idle connection stays. every: seconds between two sweeps. clock: seconds, never going back (the loop's
    unless given). wall: Unix seconds, for the Date header. tls: what callers must speak; None = plain.
    """
    loop = asyncio.get_running_loop()
    door = FastDoor(service, limits, keep_alive=keep_alive, pipelined=pipelined, half_sent=half_sent, every=every, clock=clock or loop.time, wall=wall)
    await door.open(listener, tls)
    return door


class FastDoor:
    """What the connections of one listener share. open_connections: by now; half_sent: bytes that half-sent requests hold."""

    def __init__(
        self, service: Service, limits: DoorLimits, *, keep_alive: float, pipelined: int, half_sent: int, every: float,
        clock: Callable[[], float], wall: Callable[[], float],
    ) -> None:  # fmt: skip
        self.limits, self.keep_alive, self.pipelined = limits, keep_alive, pipelined
        self.submit, self.metrics, self.clock = service.submit, service.metrics, clock
        self.loop = asyncio.get_running_loop()
        self.writer = AnswerWriter(wall())
        self.buffer = memoryview(bytearray(BUFFER))
        self.open_connections: set[Connection] = set()
        self.crowd: set[TurnedAway] = set()
        self.draining = False
        self.half_sent, self.most_half_sent = 0, half_sent
        self._wall, self._every = wall, every
        self._remembered_path = lru_cache(maxsize=256)(path_of)
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._next: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """Open now, those that are being turned away included."""
        return len(self.open_connections) + len(self.crowd)

    async def open(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        patience: dict[str, Any] = {} if tls is None else {"ssl_handshake_timeout": self.limits.patience}
        self._server = await self.loop.create_server(lambda: Connection(self), sock=listener, ssl=tls, **patience)
        self._next = self.loop.call_later(self._every, self._sweep_again)

    async def stop(self, grace: float = 10.0) -> None:
        """Take no more connections, answer what was received, close. What is not done after `grace` seconds is cut."""
        self.draining = True
        for _ in range(2):  # what lies in the kernel was received, too: connections not yet accepted, requests not yet read
            await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()
        for connection in list(self.open_connections):
            connection.drain()
        for turned in list(self.crowd):
            turned.transport.abort()
        self.left()
        try:
            await asyncio.wait_for(self._empty.wait(), grace)
        except TimeoutError:
            for connection in list(self.open_connections):
                connection.abort()
            await self._empty.wait()
        finally:
            if self._next is not None:
                self._next.cancel()

    def sweep(self) -> None:
        """Close what has been half done, unread or idle for too long."""
        now = self.clock()
        for connection in list(self.open_connections):
            connection.sweep(now)
        for turned in list(self.crowd):
            turned.sweep(now)

    def path_of(self, target: bytes) -> str | None:
        return self._remembered_path(target) if len(target) <= _REMEMBERED else path_of(target)

    def hold(self, more: int) -> None:
        """Half-sent requests hold so many bytes more, or less. Where it is too much, whoever holds most has to let go: callers who send
        requests at once never do."""
        self.half_sent += more
        if more > 0 and self.half_sent > self.most_half_sent:
            max(self.open_connections, key=lambda connection: connection.held).shed()

    def left(self) -> None:
        """A connection is gone."""
        if self.draining and not self.open_connections and not self.crowd:
            self._empty.set()

    def _sweep_again(self) -> None:
        self._next = self.loop.call_later(self._every, self._sweep_again)
        self.writer.tick(self._wall())
        self.sweep()
