"""Small real HTTP servers, in threads of the test: they count, answer what they are told, and remember what they were asked."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Backend:
    """Answers every request at address:port with its name, 200, until `answer` says otherwise."""

    name: str
    address: str
    port: int
    answer: Callable[[Request], tuple[int, float]] = field(default=lambda request: (200, 0.0))  # status, seconds to wait before it
    requests: list[Request] = field(default_factory=list)
    count: int = 0
    most_at_once: int = 0
    _at_once: int = 0

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._converse, self.address, self.port, backlog=512)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request = await self._read(head, reader)
                self.count += 1
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                if len(self.requests) < 1000:
                    self.requests.append(request)
                status, pause = self.answer(request)
                if pause:
                    await asyncio.sleep(pause)
                self._at_once -= 1
                body = self.name.encode()
                writer.write(b"HTTP/1.1 %d X\r\nserver: program\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _read(self, head: bytes, reader: asyncio.StreamReader) -> Request:
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while (size := int(await reader.readline(), 16)) > 0:
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        elif length := int(headers.get("content-length", 0)):
            body = await reader.readexactly(length)
        return Request(method, path, headers, body)


class Backends:
    """An event loop in a thread that serves all backends of a test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: dict[tuple[str, int], asyncio.Server] = {}

    def add(self, name: str, address: str, port: int) -> Backend:
        backend = Backend(name, address, port)
        self._servers[address, port] = asyncio.run_coroutine_threadsafe(backend.serve(), self._loop).result(5)
        return backend

    def remove(self, backend: Backend) -> None:
        """Close its port; conversations that are under way go on."""
        self._loop.call_soon_threadsafe(self._servers.pop((backend.address, backend.port)).close)

    def close(self) -> None:
        for server in self._servers.values():
            self._loop.call_soon_threadsafe(server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
