"""What the stream tells others, as events: the rows of each applied tick, and what was predicted of them.

    features    key entity, value `RowEvent`: the online row as the store got it
    scored      key entity, value `ScoredEvent`: the prediction, and which row event it is of

Readers come and go, so a topic forgets by age: events older than `keep` seconds of event time go when newer ones come.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from inference.path.inside import Scored
from presage.events.log import EventLog
from presage.features.packing import pack_row, unpack_row
from presage.features.store import OnlineRow

FEATURES, SCORED = "features", "scored"


class RowEvent(msgspec.Struct, frozen=True, array_like=True):
    """entity, time: of the row (Unix seconds of event time). row: packed as the online store packs it."""

    entity: str
    time: float
    row: bytes

    @classmethod
    def of(cls, row: OnlineRow) -> "RowEvent":
        return cls(row.entity, row.time, pack_row(row))

    def unpack(self) -> OnlineRow:
        """Raises StateError for what is no row."""
        return unpack_row(self.entity, self.time, self.row)


class ScoredEvent(msgspec.Struct, frozen=True):
    """partition, offset: of the row event that was scored."""

    partition: int
    offset: int
    prediction: Scored


class AgedTopic:
    """Appends to a topic and lets go of what is older than `keep` seconds of event time."""

    def __init__(self, log: EventLog, keep: float) -> None:
        self._log, self._keep = log, keep
        self._marks: deque[tuple[float, dict[int, int]]] = deque()  # event time, and where its first events lie

    def append(self, time: float, records: Sequence[tuple[str, bytes]]) -> None:
        """Durably, all or none. time: the newest of these events'. Raises StateError."""
        self._marks.append((time, {partition: following for partition, (_, following) in self._log.bounds().items()}))
        self._log.append(records)
        outdated = False
        while len(self._marks) > 1 and self._marks[1][0] <= time - self._keep:
            self._marks.popleft()
            outdated = True
        if outdated:
            self._log.trim(self._marks[0][1])

    def clear(self) -> None:
        """Forget everything."""
        self._marks.clear()
        self._log.trim({partition: following for partition, (_, following) in self._log.bounds().items()})


class FeatureTopic:
    """The rows of each applied tick, for whoever scores or watches them."""

    def __init__(self, log: EventLog, keep: float) -> None:
        self._topic = AgedTopic(log, keep)
        self._encode = msgspec.msgpack.Encoder().encode

    def publish(self, rows: Sequence[OnlineRow]) -> None:
        """All rows of one tick, once they are in the store. A tick that is applied again after a kill is told again."""
        if rows:
            self._topic.append(max(row.time for row in rows), [(row.entity, self._encode(RowEvent.of(row))) for row in rows])

    def clear(self) -> None:
        """The stream starts over: nothing of the last one counts."""
        self._topic.clear()
