"""What the door itself says to a request that does not reach the service."""

from inference.server.exchange import HttpResponse, error_response
from inference.server.limits import DoorLimits

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def not_http() -> HttpResponse:
    return error_response(400, "This is not HTTP/1.1. Mend the request.")


def failed() -> HttpResponse:
    return error_response(500, "The server failed. Its log says why.")


def late(limits: DoorLimits) -> HttpResponse:
    return error_response(408, f"The request was not whole after {limits.patience:g} s. Send it at once.")


def long_head(limits: DoorLimits) -> HttpResponse:
    """A head whose end was not in sight when its budget was spent."""
    return error_response(431, f"The head has more than the {limits.head} bytes allowed. Send fewer headers.")


def large_head(count: int, size: int, limits: DoorLimits) -> HttpResponse:
    return error_response(431, f"The head has {count} headers and {size} bytes; {limits.headers} and {limits.head} are allowed. Send fewer.")


def large_body(limits: DoorLimits) -> HttpResponse:
    return error_response(413, f"The body has more than the {limits.body} bytes allowed. Send fewer rows at a time.")


def wordy_chunks(limits: DoorLimits) -> HttpResponse:
    return error_response(413, f"Beside the body its chunks have more than {limits.head} bytes. Send larger chunks, without extensions and trailers.")


def no_room(most: int) -> HttpResponse:
    """To whoever holds most of what all half-sent bodies together may take."""
    return _later(503, f"Half-sent requests hold more than {most} bytes here. Send the request again, at once.")


def crowded(limits: DoorLimits) -> HttpResponse:
    return _later(503, f"{limits.connections} connections are open here already. Ask again shortly, on one that is kept.")


def _later(status: int, message: str) -> HttpResponse:
    return error_response(status, message)._replace(headers=((b"retry-after", b"1"),))
