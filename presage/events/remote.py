"""The event log that another process keeps (presage.events.served): the same interface, one request and one answer at a time.

A call that fails says nothing of whether it was carried out: the answer may have been lost. Open the log again and look: nothing that an
earlier opening of the same `producer` has still on its way is added after that.
"""

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from presage.errors import StateError, UsageError
from presage.events.log import Event, Position
from presage.events.messages import CANNOT, DONE, LARGEST, LENGTH, connected, decode, encode


class RemoteEventLog:
    """See presage.events.log.EventLog. patience: seconds that one call may take."""

    def __init__(self, address: str, topic: str, partitions: int, producer: str, patience: float) -> None:
        self._address, self._patience = address, patience
        self._connection: socket.socket | None = None
        try:
            self._connection = connected(address, patience)
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            self._partitions = int(self._ask("open", topic, partitions, producer))
        except BaseException:
            self.close()
            raise

    @property
    def partitions(self) -> int:
        return self._partitions

    def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        return [Position(*at) for at in self._ask("append", records)]

    def read(self, partition: int, offset: int, limit: int = 1000) -> list[Event]:
        return [Event(*event) for event in self._ask("read", partition, offset, limit)]

    def bounds(self) -> dict[int, tuple[int, int]]:
        return {part: (first, following) for part, first, following in self._ask("bounds")}

    def commit(self, group: str, positions: Mapping[int, int]) -> None:
        self._ask("commit", group, dict(positions))

    def committed(self, group: str) -> dict[int, int]:
        return dict(self._ask("committed", group))

    def trim(self, before: Mapping[int, int]) -> int:
        return int(self._ask("trim", dict(before)))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, *request: Any) -> Any:
        """Raises StateError; after one that is not the log's own word this opening is of no use any more."""
        if self._connection is None:
            raise StateError(f"{self._address}: this opening of the event log is closed. Open it again.")
        message = encode(list(request))
        if len(message) > LARGEST:
            raise UsageError(f"a request of {len(message)} bytes is too large for the event log at {self._address}. Append less at once.")
        deadline = monotonic() + self._patience
        try:
            self._connection.settimeout(self._patience)
            self._connection.sendall(message)
            kind, result = decode(self._receive(LENGTH.unpack(self._receive(LENGTH.size, deadline))[0], deadline))
        except (OSError, ValueError) as error:
            self.close()
            raise self._unreachable(error) from error
        if kind == DONE:
            return result
        raise (StateError if kind == CANNOT else UsageError)(str(result))

    def _receive(self, length: int, deadline: float) -> bytes:
        assert self._connection is not None
        received = bytearray()
        while len(received) < length:
            self._connection.settimeout(max(0.001, deadline - monotonic()))
            piece = self._connection.recv(min(length - len(received), 1 << 20))
            if not piece:
                raise ConnectionResetError("it closed the connection")
            received += piece
        return bytes(received)

    def _unreachable(self, error: Exception) -> StateError:
        why = "does not answer in time" if isinstance(error, TimeoutError) else f"cannot be reached ({getattr(error, 'strerror', None) or error})"
        return StateError(f"the event log at {self._address} {why}. Start the process that keeps it.")

    def __del__(self) -> None:
        with suppress(AttributeError):
            self.close()
