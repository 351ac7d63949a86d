"""Keeps the embedded event log for other processes on this machine: one request after the other, each acknowledged after its own synced write.

    server, address = await serve_event_log(ServedEventLog(folder), "unix:/run/presage/replica.sock")

It is no broker: no replication, no authentication, loopback and unix sockets only. Where there is a Kafka, that is the log.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from presage.errors import PresageError, StateError, UsageError
from presage.events.log import EventLog, open_event_log
from presage.events.messages import CANNOT, DONE, LARGEST, LENGTH, WRONG, decode, encode, host_and_port, unix_path
from presage.logs import get_logger

READ_BYTES = 8 << 20
"""About as much goes into the answer to one read."""
CONNECTIONS = 512
_PAGE = 200
Appended = Callable[[str, EventLog, list[tuple[str, bytes]]], None]
_log = get_logger("presage.events")


class ServedEventLog:
    """The open log of every topic. folder: of the log; appended: told of every append, once it is durable."""

    def __init__(self, folder: Path, appended: Appended | None = None) -> None:
        self._folder, self._appended = folder, appended
        self._logs: dict[str, EventLog] = {}
        self._newest: dict[tuple[str, str], object] = {}
        self._connections = 0

    def topic(self, topic: str, partitions: int) -> EventLog:
        """Raises StateError, UsageError."""
        log = self._logs.get(topic)
        if log is None or log.partitions != partitions:
            opened = open_event_log(f"sqlite:{self._folder}", topic, partitions)
            log = self._logs.setdefault(topic, opened)
        return log

    def close(self) -> None:
        for log in self._logs.values():
            log.close()
        self._logs.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        self._connections += 1
        try:
            if self._connections <= CONNECTIONS:
                await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass  # it went away, or speaks something else
        finally:
            self._connections -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session: _Session | None = None
        while True:
            length = LENGTH.unpack(await reader.readexactly(LENGTH.size))[0]
            if length > LARGEST:
                raise ValueError(length)
            request = decode(await reader.readexactly(length))
            try:
                if session is None:
                    session = self._open(*request)
                    answer: list[Any] = [DONE, session.log.partitions]
                else:
                    answer = [DONE, self._do(session, *request)]
            except UsageError as error:
                answer = [WRONG, error.message]
            except PresageError as error:
                answer = [CANNOT, error.message]
            except TypeError:
                answer = [WRONG, "the event log does not know this request. Use the same version of presage at both ends."]
            writer.write(encode(answer))
            await writer.drain()

    def _open(self, operation: str, topic: str, partitions: int, producer: str) -> "_Session":
        if operation != "open":
            raise UsageError(f"{operation!r} comes before the topic was opened. Open it first.")
        session = _Session(self.topic(topic, partitions), topic, producer)
        if producer:
            self._newest[topic, producer] = session
        return session

    def _do(self, session: "_Session", operation: str, *arguments: Any) -> Any:
        log = session.log
        match operation:
            case "append":
                return self._append(session, *arguments)
            case "read":
                return _read(log, *arguments)
            case "bounds":
                return [(part, first, following) for part, (first, following) in log.bounds().items()]
            case "commit":
                return log.commit(*arguments)
            case "committed":
                return log.committed(*arguments)
            case "trim":
                return log.trim(*arguments)
        raise UsageError(f"the event log does not know {operation!r}. Use the same version of presage at both ends.")

    def _append(self, session: "_Session", records: list[list[Any]]) -> list[tuple[int, int]]:
        if session.producer and self._newest[session.topic, session.producer] is not session:
            raise StateError(f"{session.producer} has opened {session.topic} again since: nothing is added by the earlier opening.")
        given = [(str(key), bytes(value)) for key, value in records]
        positions = [(at.partition, at.offset) for at in session.log.append(given)]
        if self._appended is not None:
            self._appended(session.topic, session.log, given)
        return positions


class _Session:
    """One connection's view."""

    def __init__(self, log: EventLog, topic: str, producer: str) -> None:
        self.log, self.topic, self.producer = log, topic, producer


def _read(log: EventLog, partition: int, offset: int, limit: int) -> list[tuple[int, int, str, bytes]]:
    found: list[tuple[int, int, str, bytes]] = []
    size = 0
    while len(found) < limit and size < READ_BYTES:
        page = log.read(partition, offset, min(_PAGE, limit - len(found)))
        if not page:
            break
        found += [(event.partition, event.offset, event.key, event.value) for event in page]
        size += sum(len(event.value) for event in page)
        offset = page[-1].offset + 1
    return found


async def serve_event_log(served: ServedEventLog, address: str) -> tuple[asyncio.Server, str]:
    """Listen; the server and the address it really has (port 0 = any free one). Raises UsageError, OSError."""
    path = unix_path(address)
    if path is None:
        host, port = host_and_port(address)
        server = await asyncio.start_server(served.serve, host, port)
        name = server.sockets[0].getsockname()
        return server, f"{name[0]}:{name[1]}"
    Path(path).unlink(missing_ok=True)  # left by one that was killed; the lock on the folder says that nobody serves it now
    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(served.serve, path)
    finally:
        os.umask(before)
    return server, address
