"""The metrics' own door: `GET /metrics` in plain text at a port of its own, and nothing else there.

So the program's port can take mutual TLS alone, while a scraper without a certificate still reads the counters. It shares the
program's event loop: instruments are plain numbers of that thread, and a scrape every few seconds costs less than a lock a request.

    async with metrics_door(listener, metrics.exposition):
        await server.serve(...)
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn

from inference.http_server import HttpServer
from inference.server.guarded import guarded_protocol, sweep_for_ever
from inference.server.limits import DoorLimits

PATH = "/metrics"
TEXT = b"text/plain; version=0.0.4; charset=utf-8"
LIMITS = DoorLimits(body=0, head=8 << 10, headers=64, patience=5.0, connections=32)
"""A scraper keeps one connection; whoever fills the rest gets 503, and the program's own port does not notice."""
_KEEP_ALIVE = 90  # seconds; longer than any sensible scrape interval

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


@asynccontextmanager
async def metrics_door(listener: socket.socket | None, exposition: Callable[[], bytes]) -> AsyncIterator[None]:
    """Answer at `listener` while the block runs, which closes it; without a listener do nothing."""
    if listener is None:
        yield
        return
    server = HttpServer(uvicorn.Config(
        metrics_app(exposition), http=guarded_protocol(LIMITS), ws="none", interface="asgi3", loop="none", lifespan="off", proxy_headers=False,
        server_header=False, access_log=False, log_config=None, log_level="error", limit_concurrency=LIMITS.connections, timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    ))  # fmt: skip
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    sweeping = asyncio.create_task(sweep_for_ever(server.server_state.connections))
    try:
        yield
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        server.should_exit = True
        await serving


def metrics_app(exposition: Callable[[], bytes]) -> App:
    """ASGI 3, HTTP only."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, body = _answer(scope["method"], scope["path"], exposition)
        headers = [(b"content-type", TEXT), (b"content-length", b"%d" % len(body))]
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]):
            headers.append((b"connection", b"close"))  # a body is not read here
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def _answer(method: str, path: str, exposition: Callable[[], bytes]) -> tuple[int, bytes]:
    if path != PATH:
        return 404, b"There is only /metrics here.\n"
    if method != "GET":
        return 405, b"/metrics takes GET.\n"
    return 200, exposition()
