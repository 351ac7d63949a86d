"""Group commit: while one group of records is being made safe, the next one gathers. One worker thread waits, the event loop never does.

    group = GroupCommit(keep)              keep(records, since): returns once they are safe, or raises StateError or Cut
    group.append(records, then)            then(None), or then(StateError), on the caller's loop
    group.close()

A failure refuses everything that waits, too, and whatever comes before the loop was told: what was refused may hold a row that later
records name. After a Cut nothing more is taken until `mend` succeeds; the worker tries it again and again. After any other failure the next
group is taken as soon as the loop was told: a disk that has space again needs no mending.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from time import monotonic
from typing import NamedTuple

from inference.journal.levels import Then
from inference.journal.record import AnyRecord
from presage.errors import StateError
from presage.logs import get_logger

Keep = Callable[[list[AnyRecord], float], None]
Mend = Callable[[], None]
MOST_RECORDS = 20_000
"""In one group: a failed one is written again, and a replica takes one at a time."""
SOONEST, LATEST = 0.05, 1.0
"""Seconds between tries to mend."""
_log = get_logger("presage.journal")


class Cut(StateError):
    """What `keep` writes to cannot be reached: nothing can be kept until `mend` has succeeded."""


class _Waiting(NamedTuple):
    records: Sequence[AnyRecord]
    then: Then
    loop: asyncio.AbstractEventLoop
    since: float


class GroupCommit:
    """keep: see above; since: when the oldest of the records came, in seconds of `clock`. broken: why nothing can be kept at the start."""

    def __init__(self, keep: Keep, mend: Mend | None = None, *, clock: Callable[[], float] = monotonic, broken: StateError | None = None) -> None:
        self._keep, self._mend, self._clock = keep, mend, clock
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        """Held by whoever keeps: the worker, or a caller without a loop."""
        self._waiting: list[_Waiting] = []
        self._broken = broken
        self._cut = broken is not None and mend is not None
        self._untold = 0
        self._closing = False
        self._worker: threading.Thread | None = None
        self._left: list[tuple[list[_Waiting], StateError | None]] = []
        if self._cut:
            self._start()

    def append(self, records: Sequence[AnyRecord], then: Then) -> None:
        """`then` on the running loop; where none runs, before this returns."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            then(self._at_once(records))
            return
        with self._changed:
            error = self._broken
            if error is None and self._closing:
                error = StateError("the journal is closed")
            if error is None:
                self._waiting.append(_Waiting(records, then, loop, self._clock()))
                self._changed.notify()
        if error is not None:
            then(error)
        elif self._worker is None:
            self._start()

    def close(self) -> None:
        """Keep what waits, then end the worker. Outcomes that no loop can be told any more are told here."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._worker is not None:
            self._worker.join()
        for group, error in self._left:
            _tell(group, error)
        self._left.clear()

    def _start(self) -> None:
        self._worker = threading.Thread(target=self._work, name="journal", daemon=True)
        self._worker.start()

    def _at_once(self, records: Sequence[AnyRecord]) -> StateError | None:
        with self._turn:
            try:
                if self._cut and self._mend is not None:
                    self._mend()
                self._keep(list(records), self._clock())
            except StateError as error:
                if self._cut or isinstance(error, Cut):
                    self._broken, self._cut = error, self._mend is not None
                return error
            self._broken, self._cut = None, False
            return None

    def _work(self) -> None:
        pause = SOONEST
        while True:
            with self._changed:
                while not (self._waiting or self._closing or self._cut):
                    self._changed.wait()
                if self._cut:
                    if self._closing:
                        return
                    self._changed.wait(pause)
                elif not self._waiting:
                    return
                group = self._next_group()
            if not group:
                pause = SOONEST if self._mended() else min(LATEST, 2 * pause)
                continue
            with self._turn:
                error = self._kept(group)
            if error is None:
                self._deliver(group, None)
                continue
            with self._changed:
                self._broken, self._cut = error, isinstance(error, Cut) and self._mend is not None
                self._untold += 1
                group, self._waiting = [*group, *self._waiting], []
            self._deliver(group, error)

    def _next_group(self) -> list[_Waiting]:
        taken = count = 0
        for waiting in self._waiting:
            taken += 1
            count += len(waiting.records)
            if count >= MOST_RECORDS:
                break
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group

    def _kept(self, group: list[_Waiting]) -> StateError | None:
        try:
            self._keep([record for waiting in group for record in waiting.records], group[0].since)
        except StateError as error:
            return error
        except Exception as error:  # one group fails, never the worker: every answer behind it would wait for ever
            _log.exception("the journal failed inside")
            return Cut(f"the journal failed ({type(error).__name__}). The server's log says why.")
        return None

    def _mended(self) -> bool:
        """Whether records are taken again. They are not before the loop was told of every failure."""
        if self._mend is None or not self._cut:
            return True
        with self._turn:
            try:
                self._mend()
            except StateError:
                return False
            except Exception:
                _log.exception("the journal failed inside")
                return False
        with self._changed:
            if self._untold:
                return False
            self._broken, self._cut = None, False
        return True

    def _deliver(self, group: list[_Waiting], error: StateError | None) -> None:
        parts = [list(part) for _, part in groupby(group, key=lambda waiting: waiting.loop)]
        for number, part in enumerate(parts, 1):
            last = error is not None and number == len(parts)
            try:
                part[0].loop.call_soon_threadsafe(self._tell, part, error, last)
            except RuntimeError:  # the loop is closed
                self._left.append((part, error))
                if last:
                    self._all_told()

    def _tell(self, group: list[_Waiting], error: StateError | None, last: bool) -> None:
        """last: of those that one failure is told. Whoever asks again because of it is not met by it."""
        _tell(group, error)
        if last:
            self._all_told()

    def _all_told(self) -> None:
        with self._changed:
            self._untold -= 1
            if not self._cut and not self._untold:
                self._broken = None


def _tell(group: list[_Waiting], error: StateError | None) -> None:
    for waiting in group:
        try:
            waiting.then(error)
        except Exception:
            _log.exception("an outcome of the journal could not be told")
