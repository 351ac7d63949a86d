"""uvicorn's HTTP protocol with patience that ends: heads, bodies and unread answers do not stay half done for ever.

One sweep a second looks at the connections; a request pays three attribute writes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from inference.server.exchange import error_response
from inference.server.limits import DoorLimits


def guarded_protocol(limits: DoorLimits) -> type[HttpToolsProtocol]:
    """The protocol class that a `uvicorn.Config(http=…)` takes."""

    class GuardedProtocol(HttpToolsProtocol):
        """waiting_since: when the head or body that is being received began, None between requests."""

        waiting_since: float | None = None
        unread_since: float | None = None
        in_head = True
        head_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.waiting_since = self.loop.time()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.in_head and self.waiting_since is not None:
                self.head_bytes += len(data)
                if self.head_bytes > limits.head:
                    self._refuse(431, f"The head has more than the {limits.head} bytes allowed. Send fewer headers.")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.waiting_since = self.loop.time()
            self.in_head, self.head_bytes = True, 0

        def on_headers_complete(self) -> None:
            self.in_head = False
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self.waiting_since = None
            super().on_message_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self.unread_since = self.loop.time()

        def resume_writing(self) -> None:
            super().resume_writing()
            self.unread_since = None

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, "This is not HTTP/1.1. Mend the request.")

        def sweep(self, now: float) -> None:
            """Close what has been half done for too long."""
            if self.unread_since is not None and now - self.unread_since > limits.patience:
                self.transport.abort()
            elif self.waiting_since is not None and now - self.waiting_since > limits.patience:
                self._refuse(408, f"The request was not whole after {limits.patience:g} s. Send it at once.")

        def _refuse(self, status: int, message: str) -> None:
            """Answer where nothing was answered yet, and close."""
            if self.transport.is_closing():
                return
            self.waiting_since = None
            if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
                response = error_response(status, message)
                head = b"content-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (response.content_type, len(response.body))
                self.transport.write(STATUS_LINE[status] + head + response.body)
            self.transport.close()

    return GuardedProtocol


async def sweep_for_ever(connections: set[Any], every: float = 1.0) -> None:
    """Runs beside the server until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(every)
        now = loop.time()
        for connection in list(connections):
            connection.sweep(now)
