"""Which ticks were applied, and how far the readings had been consumed then: a small topic beside the readings.

With it a restarted stream replays exactly: a reading that came after its tick was late then, and is late again.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from presage.events.log import EventLog


class AppliedTick(msgspec.Struct, frozen=True, array_like=True):
    """time: the tick, Unix seconds. consumed: each partition's next offset when it was applied."""

    time: float
    consumed: dict[int, int]

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)


class AppliedTicks:
    """The record of applied ticks, oldest first. log: a topic with one partition."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._decode = msgspec.msgpack.Decoder(AppliedTick).decode
        self._recent: list[tuple[int, AppliedTick]] = []
        at = 0
        while events := log.read(0, at):
            self._recent += [(event.offset, self._decode(event.value)) for event in events]
            at = events[-1].offset + 1

    @property
    def last(self) -> datetime | None:
        """The newest applied tick."""
        return self._recent[-1][1].moment if self._recent else None

    def before(self, partition: int, offset: int) -> datetime | None:
        """The newest tick that had been applied when the event at this position was consumed for the first time."""
        for _, tick in reversed(self._recent):
            if tick.consumed.get(partition, 0) <= offset:
                return tick.moment
        return None

    def add(self, time: datetime, consumed: Mapping[int, int]) -> None:
        """Remember, durably, that `time` was applied after these offsets had been consumed."""
        tick = AppliedTick(time.timestamp(), dict(consumed))
        [position] = self._log.append([("tick", msgspec.msgpack.encode(tick))])
        self._recent.append((position.offset, tick))

    def forget(self, needed: Mapping[int, int]) -> None:
        """Drop ticks that no replay from the offsets `needed` asks about: all but the newest that covers none of them."""
        outdated = [place for place, (_, tick) in enumerate(self._recent) if all(tick.consumed.get(part, 0) <= at for part, at in needed.items())]
        if outdated and outdated[-1]:
            self._recent = self._recent[outdated[-1] :]
            self._log.trim({0: self._recent[0][0]})

    def clear(self) -> None:
        """Forget every tick: the stream starts over."""
        self._log.trim({part: following for part, (_, following) in self._log.bounds().items()})
        self._recent = []
