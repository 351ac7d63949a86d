"""Answers as bytes: what is the same for a second is made once a second."""

import re
from email.utils import formatdate
from http import HTTPStatus

from inference.server.exchange import HttpResponse

_UNSAFE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""In a header's value it would end the header."""
_CLOSE = b"connection: close\r\n"


class AnswerWriter:
    """HttpResponse → bytes, with the date of the latest `tick`."""

    def __init__(self, wall: float) -> None:
        self._date = b""
        self._begun: dict[tuple[int, bytes], bytes] = {}  # status, content type → all that stands before the length
        self.tick(wall)

    def tick(self, wall: float) -> None:
        """wall: Unix seconds."""
        date = b"date: %b\r\n" % formatdate(wall, usegmt=True).encode()
        if date != self._date:
            self._date = date
            self._begun.clear()

    def write(self, answer: HttpResponse, *, close: bool, head_only: bool) -> bytes:
        """The whole answer. Raises ValueError where a header holds a control character."""
        status, body, content_type, headers = answer
        begun = self._begun.get((status, content_type))
        if begun is None:
            begun = self._begun[status, content_type] = _status_line(status) + self._date + b"content-type: %b\r\ncontent-length: " % content_type
        parts = [begun, b"%d\r\n" % len(body)]
        for name, value in headers:
            if _UNSAFE.search(value) is not None:
                raise ValueError(f"{name!r} of an answer is {value[:100]!r}")
            parts += (name, b": ", value, b"\r\n")
        if close:
            parts.append(_CLOSE)
        parts.append(b"\r\n")
        if not head_only:
            parts.append(body)
        return b"".join(parts)


def bare(answer: HttpResponse) -> bytes:
    """The last answer on a connection whose request was never whole: no date, and it closes."""
    parts = [_status_line(answer.status), b"content-type: %b\r\ncontent-length: %d\r\n" % (answer.content_type, len(answer.body))]
    parts += [b"%b: %b\r\n" % header for header in answer.headers]
    return b"".join((*parts, _CLOSE, b"\r\n", answer.body))


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())
