"""How long a call may be half sent: one look at all of them now and then, since a timer for each would cost more than the reading.

    patience = Patience(10.0, loop)
    content = await patience.read(context)      # TimeoutError after 10 to 12.5 s
"""

import asyncio
from collections.abc import Awaitable
from typing import Protocol

LOOKS = 4
"""A patience is looked at so many times."""


class Reads(Protocol):
    def read(self) -> Awaitable[object]: ...


class Patience:
    """reading: calls whose message is not whole yet, and since when."""

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.seconds = seconds
        self.reading: dict[asyncio.Task[object], float] = {}
        self._loop = loop
        self._late: set[asyncio.Task[object]] = set()
        self._looking = False

    async def read(self, context: Reads) -> object:
        """The next message. Raises TimeoutError."""
        task: asyncio.Task[object] | None = asyncio.current_task()
        assert task is not None
        self.reading[task] = self._loop.time()
        if not self._looking:
            self._looking = True
            self._loop.call_later(self.seconds / LOOKS, self._look)
        try:
            return await context.read()
        except asyncio.CancelledError:
            if task not in self._late:
                raise  # the caller hung up
            task.uncancel()
            raise TimeoutError from None
        finally:
            del self.reading[task]
            self._late.discard(task)

    def _look(self) -> None:
        self._looking = bool(self.reading)
        if not self._looking:
            return
        now = self._loop.time()
        for task, since in self.reading.items():
            if now - since >= self.seconds and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._loop.call_later(self.seconds / LOOKS, self._look)
