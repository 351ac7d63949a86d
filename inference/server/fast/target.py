"""The request target (RFC 9112, 3.2) as far as routes go: its path, decoded."""

from urllib.parse import unquote

from httptools import HttpParserInvalidURLError, parse_url


def path_of(target: bytes) -> str | None:
    """`/predict` of `/predict?x=1` and of `http://host/predict`; None where there is no path, which is no request."""
    try:
        raw = parse_url(target).path
        path = None if raw is None else raw.decode("ascii")
    except (HttpParserInvalidURLError, UnicodeDecodeError):
        return None
    return unquote(path) if path is not None and "%" in path else path
