"""One input of the fuzzer, given to the real doors: bodies and headers to the service, raw bytes to a connection of the fast door.

    with Target(site, folder) as target:
        target.take(b"\\x00GET / HTTP/1.1\\r\\n\\r\\n")     # AssertionError where anything but an answer or a refusal comes of it

The first byte chooses what the rest is: see `WAYS`.
"""

import asyncio
import logging
import re
from math import inf
from pathlib import Path

import structlog

from inference.journal.record import Writer
from inference.journal.segments import segments
from inference.journal.writer import Journal
from inference.path.online import OnlineFeatures
from inference.path.served import ready_release
from inference.server.exchange import HttpRequest, HttpResponse
from inference.server.fast.connection import Connection
from inference.server.fast.door import FastDoor
from inference.server.limits import DoorLimits
from inference.server.program import build_service
from presage.package.keys import Trust
from presage.package.release import verify_folder

INFER, LIMITS = "/v2/models/incident/infer", DoorLimits(body=1 << 16, head=2048, headers=16)
WAYS = ("raw", "infer", "binary", "predict", "headers")
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_HEADERS = (
    b"content-type", b"content-encoding", b"traceparent", b"x-envoy-expected-rq-timeout-ms", b"inference-header-content-length",
    b"x-forwarded-client-cert",
)  # fmt: skip
_VALID = b'{"inputs":[{"name":"server","shape":[1],"datatype":"BYTES","data":["%b"]}]}'
ALLOWED = (501, 504)
"""Not supported; and too late, where the input itself names a deadline of microseconds."""
EVERY = 20_000
"""Inputs after which what was journalled is let go."""


class Wire:
    """A transport in memory: what was written, and whether reading is wanted."""

    def __init__(self) -> None:
        self.written, self.closed, self.reading = bytearray(), False, True

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after close"
        self.written += data

    def write_eof(self) -> None: ...

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


class Target:
    """A served release behind its doors."""

    def __init__(self, site: object, folder: Path) -> None:
        logging.disable(logging.CRITICAL)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        release = ready_release(verify_folder(site.model_dir, Trust.open(site.trust_keys)))
        self.folder = folder / "journal"
        self.journal = Journal.open(self.folder, Writer("incident", "1", "sha256:0", "eu"))
        self.online = OnlineFeatures(f"sqlite:{site.online_store}", "incident")
        self.service = build_service(release, self.journal, self.online, "incident")
        self.service.ready = True
        self.server = site.servers[0].encode()
        self.loop = asyncio.new_event_loop()
        self.door = self.loop.run_until_complete(self._door())
        self.taken = 0

    def __enter__(self) -> "Target":
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.close()
        self.journal.close()
        self.online.close()

    async def _door(self) -> FastDoor:
        return FastDoor(self.service, LIMITS, keep_alive=inf, pipelined=8, half_sent=1 << 20, every=inf, clock=self.loop.time, wall=lambda: 1.7e9)

    def take(self, data: bytes) -> list[int]:
        """The statuses that came of it."""
        self.taken += 1
        if self.taken % EVERY == 0:
            for _, path in segments(self.folder)[:-1]:
                path.unlink()
        way, rest = WAYS[data[0] % len(WAYS)] if data else "raw", data[1:]
        statuses: list[int] = getattr(self, f"_{way}")(rest)
        assert all(status < 500 or status in ALLOWED for status in statuses), (way, statuses)
        return statuses

    def _raw(self, data: bytes) -> list[int]:
        """Bytes on a connection, in two pieces; the first byte says where it is cut. Whatever happens, it answers only in HTTP."""
        cut = data[0] if data else 0
        wire, connection = Wire(), Connection(self.door)
        connection.connection_made(wire)
        self.service.queue.soon = self.loop.call_soon
        for piece in (data[1 : 1 + cut], data[1 + cut :]):
            for start in range(0, len(piece), len(self.door.buffer)):
                part = piece[start : start + len(self.door.buffer)]
                for _ in range(64):
                    if wire.reading or wire.closed:
                        break
                    self._turn()
                if wire.closed or not wire.reading:
                    break
                self.door.buffer[: len(part)] = part
                connection.buffer_updated(len(part))
                self._turn()
        for _ in range(3):
            self._turn()
        connection.connection_lost(None)
        self.service.queue.soon = None
        assert self.door.half_sent == 0 and self.service.metrics.inflight == 0 and not self.door.open_connections
        return _statuses(bytes(wire.written))

    def _turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))

    def _infer(self, body: bytes) -> list[int]:
        return [self._ask(INFER, {b"content-type": b"application/json"}, body).status]

    def _binary(self, data: bytes) -> list[int]:
        """The first two bytes are the length that the header announces."""
        length = str(int.from_bytes(data[:2], "little") % 1024).encode()
        headers = {b"content-type": b"application/octet-stream", b"inference-header-content-length": length}
        return [self._ask(INFER, headers, data[2:]).status]

    def _predict(self, body: bytes) -> list[int]:
        return [self._ask(path, {b"content-type": b"application/json"}, body).status for path in ("/predict", "/api/v2/predict")]

    def _headers(self, data: bytes) -> list[int]:
        """Values of the headers that are read, cut at line feeds, over a valid body."""
        values = data.split(b"\n")
        return [self._ask(INFER, dict(zip(_HEADERS, values, strict=False)), _VALID % self.server).status]

    def _ask(self, path: str, headers: dict[bytes, bytes], body: bytes) -> HttpResponse:
        response = self.service.handle(HttpRequest("POST", path, headers, body))
        assert response.body and isinstance(response.body, bytes)
        return response


def _statuses(written: bytes) -> list[int]:
    """Of answers one after the other, each whole, nothing between them."""
    statuses, at = [], 0
    while at < len(written):
        match = _STATUS.match(written, at)
        assert match is not None, written[at : at + 80]
        statuses.append(int(match[1]))
        head = written.index(b"\r\n\r\n", at) + 4
        if statuses[-1] == 100:
            at = head
            continue
        length = re.search(rb"\r\ncontent-length: (\d+)\r\n", written[at:head])
        assert length is not None, written[at:head]
        bare = head == len(written) or _STATUS.match(written, head) is not None  # of HEAD
        at = head if bare else head + int(length[1])
    assert at == len(written)
    return [status for status in statuses if status != 100]
