"""Triton's own series (`nv_…`) on the path's /metrics: fetched beside, filtered, kept; a scrape never waits for Triton.

Triton listens on the Pod's loopback, where no scraper comes. What it says is copied line by line where a line is a sample, HELP or TYPE of
an `nv_` family: nothing it says can pass for a series of ours. Text that has not been refreshed for a while is not shown any more: a
gauge of a Triton that is gone would be a lie.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress

from presage.logs import get_logger

EVERY, PATIENCE, LASTS = 5.0, 1.0, 15.0
"""Seconds between fetches, for one of them, and how long its text is shown."""
LARGEST, MOST_LINES = 256 << 10, 4000
_NAME = r"nv_[a-z0-9_]{1,100}"
_LABELS = r'\{(?:[a-z_][a-z0-9_]{0,60}="(?:[^"\\\n]|\\.){0,256}",?){0,16}\}'
_LINE = re.compile(rf"(?:# (?:HELP|TYPE) {_NAME} [^\n]{{1,400}}|{_NAME}(?:{_LABELS})? [-+0-9.eE]{{1,40}}|{_NAME}(?:{_LABELS})? (?:NaN|[+-]?Inf))")
_log = get_logger("presage.triton")


class TritonMetrics:
    """address: host:port of Triton's metrics. clock: seconds, never going back."""

    def __init__(self, address: str, clock: Callable[[], float], every: float = EVERY) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port, self._clock, self._every = host, int(port), clock, every
        self._text, self._at = b"", float("-inf")
        self._said = ""

    def exposition(self) -> bytes:
        """The newest text, empty where there is none that still holds."""
        return self._text if self._clock() - self._at <= max(LASTS, 3 * self._every) else b""

    async def follow(self) -> None:
        """Fetch for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._every)

    async def refresh(self) -> None:
        """Fetch once, within PATIENCE; where that fails, what was there goes on holding for a while."""
        try:
            async with asyncio.timeout(PATIENCE):
                text = await self._fetch()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            if (reason := f"{type(error).__name__}: {error}"[:200]) != self._said:
                _log.warning("Triton's metrics cannot be read", reason=reason)
            self._said = reason
            return
        self._text, self._at, self._said = filtered(text), self._clock(), ""

    async def _fetch(self) -> bytes:
        """The body of GET /metrics. HTTP/1.0: the answer ends with the connection."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=64 << 10)
        try:
            writer.write(f"GET /metrics HTTP/1.0\r\nHost: {self._host}\r\n\r\n".encode())
            await writer.drain()
            status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().splitlines()
            if status.split()[1:2] != ["200"] or any(line.startswith("transfer-encoding") for line in headers):
                raise ValueError(status[:100])
            return await _body(reader, next((int(line.partition(":")[2]) for line in headers if line.startswith("content-length:")), None))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _body(reader: asyncio.StreamReader, length: int | None) -> bytes:
    if length is not None and not 0 <= length <= LARGEST:
        raise ValueError(f"{length} bytes")
    if length is not None:
        return await reader.readexactly(length)
    parts, size = [], 0
    while part := await reader.read(1 << 16):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
    return b"".join(parts)


def filtered(text: bytes) -> bytes:
    """The lines of `nv_` families, at most MOST_LINES."""
    lines = [line for line in text.decode("utf-8", "replace").split("\n") if _LINE.fullmatch(line)][:MOST_LINES]
    return "".join(f"{line}\n" for line in lines).encode()
