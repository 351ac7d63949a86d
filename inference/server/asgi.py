"""The ASGI door: reads a body within its limits, hands it to the service, writes the answer."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import chain
from typing import Any

from inference.clients.certificates import HEADER as CERTIFICATES
from inference.server.exchange import HttpRequest, HttpResponse, error_response
from inference.server.limits import DoorLimits
from inference.server.service import Service

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
_CLOSE = (b"connection", b"close")  # what is left of a refused body is not worth reading


def asgi_app(service: Service, limits: DoorLimits) -> App:
    """The service behind ASGI 3 (HTTP only). How long a body may take is the protocol's to watch (`guarded`)."""
    metrics = service.metrics

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        metrics.inflight += 1
        try:
            named = dict(scope["headers"])
            if len(named) != len(scope["headers"]) and CERTIFICATES in named:
                named[CERTIFICATES] = b",".join(value for name, value in scope["headers"] if name == CERTIFICATES)
            answer = _refused_head(scope["headers"], named, limits) or await _read_body(receive, limits.body)
            if answer is None:
                return  # the caller hung up
            if isinstance(answer, bytes):
                answer = await _answered(service, HttpRequest(scope["method"], scope["path"], named, answer))
            body = answer.body
            headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(body)), *answer.headers]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            metrics.inflight -= 1

    return app


async def _answered(service: Service, request: HttpRequest) -> HttpResponse:
    """The service's answer, whenever it comes. An answer to a caller who has hung up is in the journal all the same."""
    future: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()

    def reply(response: HttpResponse) -> None:
        if not future.done():
            future.set_result(response)

    service.submit(request, reply)
    return await future


def _refused_head(headers: list[tuple[bytes, bytes]], named: dict[bytes, bytes], limits: DoorLimits) -> HttpResponse | None:
    announced = named.get(b"content-length", b"0")
    if len(announced) > 12 or int(announced) > limits.body:
        return _too_large(limits.body)
    size = sum(map(len, chain.from_iterable(headers)))
    if size > limits.head or len(headers) > limits.headers:
        return _closing(431, f"The head has {len(headers)} headers and {size} bytes; {limits.headers} and {limits.head} are allowed. Send fewer.")
    return None


async def _read_body(receive: Receive, limit: int) -> bytes | HttpResponse | None:
    """The whole body, or the refusal that answers it, or None where the caller hung up."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if len(body) > limit:  # chunks that came in one read announced nothing
        return _too_large(limit)
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                return _too_large(limit)
        body = b"".join(parts)
    return None if message["type"] == "http.disconnect" else body


def _too_large(limit: int) -> HttpResponse:
    return _closing(413, f"The body has more than the {limit} bytes allowed. Send fewer rows at a time.")


def _closing(status: int, message: str) -> HttpResponse:
    return error_response(status, message)._replace(headers=(_CLOSE,))
