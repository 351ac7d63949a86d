"""The new release sees what the present one is asked, and answers nobody: the path asks it off the answer's way.

A share of the answered requests (chosen by their prediction id, so that every replica and every re-run choose the same) goes to another
InferenceService, with the same features: rows that a caller gave are sent as they are; for looked-up rows the ticks are sent along, and a
shadow whose store has moved on refuses. It records what it would have said under `shadow_of`, no action follows from such a record, and
the difference is a histogram here.

Nothing of it can hold up an answer: a bounded queue that lets go of the newest, a few calls at a time, a deadline a call, and a pause
when the shadow does not answer.

    async with shadow_calls(shadow): …
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import msgspec
import numpy as np

from inference.metrics.catalogue import ServingMetrics
from inference.path.request import F32, PathRequest
from presage.logs import get_logger

MARK, TICKS = "x-presage-shadow", "x-presage-feature-times"
_log = get_logger("presage.shadow")
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class ShadowSettings:
    """url: of the shadow's endpoint, `http://host:port/v2/models/incident/infer`. share: of requests that go there (0 to 1). waiting: most
    requests that wait for their call; calls: at a time; seconds: a call may take; pause: seconds without calls after one that failed."""

    url: str
    share: float = 1.0
    waiting: int = 256
    calls: int = 2
    seconds: float = 2.0
    pause: float = 5.0


@dataclass(frozen=True)
class _Asked:
    """What of a request is kept until its call."""

    prediction_id: str
    servers: list[str] | None
    times: list[float | None]
    x: F32 | None
    risk: list[float]


class Shadow:
    """Offers never wait and never raise."""

    def __init__(self, settings: ShadowSettings, metrics: ServingMetrics, clock: Callable[[], float]) -> None:
        self.settings, self._metrics, self._clock = settings, metrics, clock
        self._waiting: asyncio.Queue[_Asked] = asyncio.Queue(settings.waiting)
        self._resting_until = 0.0

    def offer(self, answered: PathRequest) -> None:
        """A request whose answer has just left."""
        if crc32(answered.prediction_id.encode()) >= self.settings.share * (1 << 32):
            return
        if self._clock() < self._resting_until:
            self._count("dropped")
            return
        given = answered.x if answered.servers is None else None
        try:
            self._waiting.put_nowait(_Asked(answered.prediction_id, answered.servers, answered.time, given, answered.risk))
        except asyncio.QueueFull:
            self._count("dropped")

    async def call_for_ever(self, post: Callable[..., Any]) -> None:
        """One of the callers. post: `(url, content, headers, timeout)`, awaitable, to (status, body)."""
        while True:
            asked = await self._waiting.get()
            if self._clock() < self._resting_until:
                self._count("dropped")
                continue
            try:
                content, headers = _request(asked)
                status, body = await asyncio.wait_for(post(self.settings.url, content, headers), self.settings.seconds)
            except (OSError, TimeoutError) as error:
                self._rest(type(error).__name__)
                continue
            if status == 200:
                self._compare(asked, body)
            elif status == 409:
                self._count("moved")
            else:
                self._rest(f"status {status}")

    def _compare(self, asked: _Asked, body: bytes) -> None:
        try:
            [risk] = [output["data"] for output in _decode(body)["outputs"] if output["name"] == "risk"]
            differences = [abs(float(other) - own) for other, own in zip(risk, asked.risk, strict=True)]
        except (msgspec.MsgspecError, LookupError, ValueError, TypeError):
            self._rest("an answer that is none")
            return
        self._count("answered")
        for difference in differences:
            self._metrics.shadow_difference.observe(difference)

    def _rest(self, because: str) -> None:
        self._count("failed")
        self._resting_until = self._clock() + self.settings.pause
        _log.warning("the shadow did not answer; it is left alone for a while", because=because, url=self.settings.url)

    def _count(self, outcome: str) -> None:
        self._metrics.shadow.add(self._metrics.model, outcome)


def _request(asked: _Asked) -> tuple[bytes, dict[str, str]]:
    headers = {"content-type": "application/json", MARK: asked.prediction_id}
    if asked.x is None:
        servers = asked.servers or []
        headers[TICKS] = ",".join("" if time is None else repr(time) for time in asked.times)
        return msgspec.json.encode({"inputs": [{"name": "server", "datatype": "BYTES", "shape": [len(servers)], "data": servers}]}), headers
    content = np.ascontiguousarray(asked.x, "<f4").tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": list(asked.x.shape), "parameters": {"binary_data_size": len(content)}}
    head = msgspec.json.encode({"inputs": [tensor]})
    return head + content, {**headers, "content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}


class Names:
    """Names looked up by the interpreter, in a thread: the loop's own resolver does not know what presage.hosts knows."""

    def __init__(self, keep: float = 5.0) -> None:
        self._keep = keep
        self._known: dict[tuple[str, int], tuple[float, str]] = {}

    async def address(self, host: str, port: int) -> str:
        """`127.0.0.1:80`. Raises OSError."""
        loop = asyncio.get_running_loop()
        known = self._known.get((host, port))
        if known is None or loop.time() - known[0] > self._keep:
            found = await loop.run_in_executor(None, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM))
            place = str(found[0][4][0])
            known = self._known[host, port] = (loop.time(), f"[{place}]:{port}" if ":" in place else f"{place}:{port}")
        return known[1]


@asynccontextmanager
async def shadow_calls(shadow: Shadow | None) -> AsyncIterator[None]:
    """Call the shadow while the block runs; None: there is none."""
    if shadow is None:
        yield
        return
    import httpx2

    async with httpx2.AsyncClient(timeout=shadow.settings.seconds, trust_env=False, follow_redirects=False) as client:

        names = Names()

        async def post(url: str, content: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
            place = urlsplit(url)
            address = await names.address(place.hostname or "", place.port or 80)
            try:
                response = await client.post(place._replace(netloc=address).geturl(), content=content, headers={**headers, "host": place.netloc})
            except httpx2.HTTPError as error:
                raise OSError(type(error).__name__) from error
            return response.status_code, response.content

        callers = [asyncio.create_task(shadow.call_for_ever(post)) for _ in range(shadow.settings.calls)]
        try:
            yield
        finally:
            for caller in callers:
                caller.cancel()
            for caller in callers:
                with suppress(asyncio.CancelledError):
                    await caller
