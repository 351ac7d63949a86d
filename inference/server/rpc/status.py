"""A refusal as gRPC says it: a code for the status that HTTP would have, and when to ask again."""

import grpc

from presage.errors import RequestRefused

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.ABORTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
PUSHBACK = "grpc-retry-pushback-ms"
"""What gRPC's own retries listen to (gRFC A6), in milliseconds."""
RETRY = "retry-after"
"""The same in seconds, as over HTTP."""


def code_of(refusal: RequestRefused) -> grpc.StatusCode:
    return _CODES.get(refusal.status, grpc.StatusCode.INTERNAL)


def retry_hint(refusal: RequestRefused) -> tuple[tuple[str, str], ...]:
    """Trailing metadata; none where asking again would not help."""
    after = refusal.retry_after
    return () if after is None else ((RETRY, str(after)), (PUSHBACK, str(1000 * after)))
