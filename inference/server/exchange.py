"""One HTTP exchange as the service sees it: bytes in, bytes out, no door's types."""

from typing import NamedTuple

import msgspec

from presage.errors import RequestRefused

JSON = b"application/json"


class HttpRequest(NamedTuple):
    """headers: lower-case names; of a repeated header the last counts, but each proxy's word on a certificate is kept, in order."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes


class HttpResponse(NamedTuple):
    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


_encode = msgspec.json.Encoder().encode


def json_response(document: object, status: int = 200) -> HttpResponse:
    return HttpResponse(status, _encode(document))


def error_response(status: int, message: str) -> HttpResponse:
    """The one shape of every refusal, KServe's: `{"error": "…"}`."""
    return HttpResponse(status, _encode({"error": message}))


def refusal_response(refusal: RequestRefused) -> HttpResponse:
    """With `Retry-After` where asking again may help."""
    response = error_response(refusal.status, refusal.message)
    return response if refusal.retry_after is None else response._replace(headers=((b"retry-after", b"%d" % refusal.retry_after),))
