"""Calls that arrive together are answered together: one run of the model, and every part of the path with warm caches.

grpc.aio hands over about one call a turn of the loop, so the queue's own batch of a turn would be one call. Here a call that is whole waits two
turns, and on while others come or are being read, a few turns at most. A turn without anything to do takes microseconds: nobody waits for time.
"""

import asyncio
from collections.abc import Callable, Sized
from typing import NamedTuple

from inference.path.request import PathRequest
from inference.server.oip import Wanted
from inference.server.rpc.calls import Calls
from presage.errors import RequestRefused
from presage.logs import get_logger

LEAST, LONGEST, MOST = 2, 16, 32
"""Turns of the loop that a call waits for others: at least, and while there are any. As many calls as MOST wait for no more."""
_log = get_logger("presage.server")
FAILED = RequestRefused(500, "failed", "The server failed. Its log says why.")


class Answer(NamedTuple):
    """content: a ModelInferResponse, or why there is none."""

    content: bytes | RequestRefused
    rung: str = ""


class Arrived(NamedTuple):
    """A call whose message is whole. before, deadline: on the service's clock."""

    content: bytes
    headers: dict[bytes, bytes]
    caller: str
    before: float
    deadline: float
    answer: "asyncio.Future[Answer]"


class Gathering:
    """reading: holds as many as there are calls whose message is not whole yet."""

    def __init__(self, calls: Calls, reading: Sized, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls, self._reading, self._soon = calls, reading, loop.call_soon
        self._arrived: list[Arrived] = []

    def put(self, arrived: Arrived) -> None:
        self._arrived.append(arrived)
        if len(self._arrived) == 1:
            self._soon(self._turn, 1, 1)

    def _turn(self, number: int, before: int) -> None:
        """before: how many had arrived at the turn before."""
        now = len(self._arrived)
        if number < LONGEST and now < MOST and (number <= LEAST or self._reading or now > before):
            self._soon(self._turn, number + 1, now)
            return
        together, self._arrived = self._arrived, []
        for arrived in together:
            try:
                asked, wanted = self._calls.ask(arrived.content, arrived.headers, arrived.before)
            except RequestRefused as refusal:
                _give(arrived, Answer(refusal.with_traceback(None)))  # it holds the frame that holds what came together
                continue
            except Exception:
                _log.exception("a call failed inside")
                _give(arrived, Answer(FAILED))
                continue
            asked.caller = arrived.caller
            asked.deadline = min(asked.deadline, arrived.deadline)
            self._calls.service.queue.submit(asked, self._answering(arrived, wanted))

    def _answering(self, arrived: Arrived, wanted: Wanted) -> Callable[[PathRequest], None]:
        def done(answered: PathRequest) -> None:
            if answered.refused is not None:
                _give(arrived, Answer(answered.refused))
                return
            self._calls.service.count(answered)
            try:
                answer = Answer(self._calls.write(answered, wanted), answered.rung[0])
            except Exception:
                _log.exception("an answer could not be written")
                answer = Answer(FAILED)
            _give(arrived, answer)

        return done


def _give(arrived: Arrived, answer: Answer) -> None:
    if not arrived.answer.done():  # the caller may have hung up
        arrived.answer.set_result(answer)
