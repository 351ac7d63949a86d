"""The HTTP door that the flags name: the fast one, or uvicorn, which was there first and stays the way back.

    door = http_door("fast", listener, service, limits, keep_alive=65)
    await door.run()        # answers until door.stop()
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Literal, Protocol

import uvicorn

from inference.http_server import HttpServer
from inference.server.asgi import asgi_app
from inference.server.fast.door import serve_fast
from inference.server.guarded import guarded_protocol, sweep_for_ever
from inference.server.limits import DoorLimits
from inference.server.service import Service
from presage.errors import UsageError

GRACE_SECONDS = 10
"""For what is being answered when the server stops."""


class HttpDoor(Protocol):
    async def run(self) -> None:
        """Answer until `stop` was called, then finish what is being answered."""

    def stop(self) -> None: ...


class AsgiDoor:
    """uvicorn around the ASGI app."""

    def __init__(self, listener: socket.socket, service: Service, limits: DoorLimits, keep_alive: int) -> None:
        self._listener = listener
        self._server = HttpServer(uvicorn.Config(
            asgi_app(service, limits), http=guarded_protocol(limits), interface="asgi3", loop="none", lifespan="off", proxy_headers=False,
            server_header=False, access_log=False, log_config=None, log_level="error", limit_concurrency=limits.connections,
            timeout_keep_alive=keep_alive, timeout_graceful_shutdown=GRACE_SECONDS,
        ))  # fmt: skip

    async def run(self) -> None:
        sweeping = asyncio.create_task(sweep_for_ever(self._server.server_state.connections))
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping

    def stop(self) -> None:
        self._server.should_exit = True


class OwnDoor:
    """The fast door."""

    def __init__(self, listener: socket.socket, service: Service, limits: DoorLimits, keep_alive: int, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._listener, self._service, self._limits, self._keep_alive = listener, service, limits, keep_alive
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        door = await serve_fast(self._listener, self._service, self._limits, keep_alive=self._keep_alive, tls=self._tls)
        await self._stopped.wait()
        await door.stop(GRACE_SECONDS)

    def stop(self) -> None:
        self._stopped.set()


def http_door(
    kind: Literal["fast", "asgi"], listener: socket.socket, service: Service, limits: DoorLimits, *, keep_alive: int, tls: ssl.SSLContext | None = None
) -> HttpDoor:  # fmt: skip
    """`listener` is the door's from now on. tls: of the fast door alone."""
    if kind == "fast":
        return OwnDoor(listener, service, limits, keep_alive, tls)
    if tls is not None:
        raise UsageError("--tls_certificate is the fast door's. Leave --door=asgi out.")
    return AsgiDoor(listener, service, limits, keep_alive)
