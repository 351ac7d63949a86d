"""Predictions of every entity at every tick: row events in, through the same path as a request's, scored events out.

For each run of rows, in this order: the journal has them (the path itself waits for that), the output topic has them, the journal may let go of
them once they are shipped, their offsets are committed. A kill between two of these costs nothing and doubles nothing: a prediction's id follows
from entity, tick and release, what the journal has is not recorded again, and what the output topic has is not scored again.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b

import msgspec

from inference.path.inside import RUN, Inside
from inference.stream.topics import AgedTopic, RowEvent, ScoredEvent
from presage.errors import StateError
from presage.events.log import Event, EventLog
from presage.features.store import OnlineRow
from presage.logs import get_logger

_log = get_logger("presage.stream")


def prediction_id(entity: str, tick: float, release: str) -> str:
    """24 hex digits; the same for the same entity, tick (Unix seconds) and release (digest)."""
    return blake2b(f"{release}\0{tick!r}\0{entity}".encode(), digest_size=12).hexdigest()


class StreamScorer:
    """One consumer of a feature topic. output: its own topic; told: called when all that was recorded is in it. Use from one thread.

    scored: predictions written by this process; dead: events that are no rows; missed: events that were forgotten before they were read;
    waiting: events that were not read at the last look.
    """

    def __init__(self, inside: Inside, features: EventLog, output: EventLog, group: str, keep: float, *, told: Callable[[], None]) -> None:
        self._inside, self._features, self._group, self._told = inside, features, group, told
        self._output = AgedTopic(output, keep)
        self._release = inside.release.digest
        self._decode = msgspec.msgpack.Decoder(RowEvent).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._ticks: dict[str, float] = {}  # entity → the last tick that is in the output topic
        self._next = self._resume(output)
        self.scored = self.dead = self.missed = 0
        self.waiting = self._behind()

    def _behind(self) -> int:
        return sum(following - self._next[partition] for partition, (_, following) in self._features.bounds().items())

    def step(self) -> int:
        """Score what is there, a run of every partition at most; how many events were read. Raises StateError, RunFailed: then start again."""
        read = 0
        for partition in self._next:
            events = self._features.read(partition, self._next[partition], limit=RUN)
            if not events:
                continue
            if (gone := events[0].offset - self._next[partition]) > 0:
                self.missed += gone
                _log.error("rows were forgotten before they were scored", partition=partition, events=gone)
            self._score(list(self._fresh(events)))
            self._next[partition] = events[-1].offset + 1
            self._features.commit(self._group, {partition: self._next[partition]})
            read += len(events)
        if read:
            self.waiting = self._behind()
        return read

    def _fresh(self, events: list[Event]) -> Iterator[tuple[Event, OnlineRow]]:
        """Rows of ticks that were not scored: a tick that was applied again is told again, and counts once."""
        for event in events:
            try:
                row = self._decode(event.value).unpack()
            except (msgspec.MsgspecError, StateError):
                self.dead += 1
                _log.error("an event is no row", partition=event.partition, offset=event.offset)
                continue
            if row.time != self._ticks.get(row.entity):
                self._ticks[row.entity] = row.time
                yield event, row

    def _score(self, rows: list[tuple[Event, OnlineRow]]) -> None:
        if not rows:
            return
        answers = self._inside.looked_up([(prediction_id(row.entity, row.time, self._release), row) for _, row in rows])
        records = [
            (row.entity, self._encode(ScoredEvent(event.partition, event.offset, self._inside.scored(answer, row.entity, row.time))))
            for (event, row), answer in zip(rows, answers, strict=True)
        ]
        self._output.append(max(row.time for _, row in rows), records)
        self._told()
        self.scored += len(records)

    def _resume(self, output: EventLog) -> dict[int, int]:
        """The next offset of each partition: what was committed, or what the output topic has beyond that."""
        after = self._features.committed(self._group)
        ends = {partition: following for partition, (_, following) in self._features.bounds().items()}
        decode = msgspec.msgpack.Decoder(ScoredEvent).decode
        for partition in output.bounds():
            at = 0
            while events := output.read(partition, at):
                at = events[-1].offset + 1
                for event in events:
                    done = decode(event.value)
                    entity, tick = done.prediction.entity, done.prediction.time
                    if entity is not None and tick is not None:
                        self._ticks[entity] = tick
                    if done.offset < ends.get(done.partition, 0):
                        after[done.partition] = max(after[done.partition], done.offset + 1)
        return after
