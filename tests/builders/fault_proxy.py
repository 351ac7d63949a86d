"""A TCP proxy in this process between a program and what it calls, which can be told to misbehave.

    with FaultProxy(("127.0.0.1", 6379)) as proxy:
        proxy.address                     # (host, port) to be called instead
        proxy.fault = "reset"             # from now on, for connections there are and those to come; None = honest

    latency    every piece arrives `seconds` later
    reset      connections are reset, and so is each new one
    half-open  nothing is passed on, in neither direction, and nobody hangs up
    drip       a byte at a time, `seconds` apart
    truncate   the first answer breaks off after `bytes` and the connection is closed
    refuse     nobody listens
"""

import asyncio
import contextlib
import socket
import struct
import threading
from typing import Literal

Fault = Literal["latency", "reset", "half-open", "drip", "truncate", "refuse"]
FAULTS: tuple[Fault, ...] = ("latency", "reset", "half-open", "drip", "truncate", "refuse")


class FaultProxy:
    """seconds, bytes: of the faults that have them. passed: bytes that came through, both ways together."""

    def __init__(self, behind: tuple[str, int], *, seconds: float = 0.3, bytes: int = 7) -> None:
        self.behind, self.seconds, self.bytes, self.passed = behind, seconds, bytes, 0
        self._fault: Fault | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.address: tuple[str, int] = probe.getsockname()[:2]

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def fault(self) -> Fault | None:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self._do(self._turn(fault))

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, *self.address)

    async def _turn(self, fault: Fault | None) -> None:
        before, self._fault = self._fault, fault
        if fault in ("reset", "refuse", "truncate") or before == "half-open":
            for pair in list(self._pairs):
                _reset(*pair)
        if fault == "refuse" and self._server is not None:
            self._server.close()
            self._server = None
        elif self._server is None and fault != "refuse":
            await self._listen()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for pair in list(self._pairs):
            _reset(*pair)
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault == "reset":
            _reset(writer)
            return
        try:
            other_reader, other_writer = await asyncio.open_connection(*self.behind)
        except OSError:
            _reset(writer)
            return
        pair = (writer, other_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pass(reader, other_writer, answers=False), self._pass(other_reader, writer, answers=True))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._pairs.discard(pair)
            for each in pair:
                with contextlib.suppress(Exception):
                    each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while piece := await reader.read(65536):
            fault = self._fault
            if fault == "half-open":
                continue
            if fault == "latency":
                await asyncio.sleep(self.seconds)
            if fault == "drip":
                for index in range(len(piece)):
                    writer.write(piece[index : index + 1])
                    await writer.drain()
                    await asyncio.sleep(self.seconds)
                continue
            if fault == "truncate" and answers:
                writer.write(piece[: self.bytes])
                await writer.drain()
                break
            self.passed += len(piece)
            writer.write(piece)
            await writer.drain()
        with contextlib.suppress(OSError):
            if self._fault is None:
                writer.write_eof()
            else:
                writer.close()


def _reset(*writers: asyncio.StreamWriter) -> None:
    """Close so that the other side sees a reset, not an end."""
    for writer in writers:
        with contextlib.suppress(OSError, AttributeError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(Exception):
            writer.transport.abort()
