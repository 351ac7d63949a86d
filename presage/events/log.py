"""The one interface to an event log: durable, partitioned, read by position.

    log = open_event_log("sqlite:.presage/events", topic="telemetry")
    log.append([("server-01", payload)])            # returns once it is durable
    for partition, start in log.committed("features").items():
        for event in log.read(partition, start, limit=1000):
            ...
    log.commit("features", {partition: event.offset + 1})
    log.trim({partition: oldest_needed})

Events with the same key share a partition and keep their order; there is no order between partitions. Offsets of a
partition count 0, 1, 2 … without gaps. Groups only remember where they are: partitions are assigned statically, and
nothing is rebalanced. The contract is the test suite in tests/events, run against every implementation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from presage.errors import UsageError


@dataclass(frozen=True)
class Position:
    """Where an event lies."""

    partition: int
    offset: int


@dataclass(frozen=True)
class Event:
    """One record. `key` decides its partition; `value` is opaque to the log."""

    partition: int
    offset: int
    key: str
    value: bytes


class EventLog(Protocol):
    """One topic. One instance serves one thread at a time; any number of instances and processes may share a topic."""

    @property
    def partitions(self) -> int:
        """How many there are; fixed when the topic is made."""

    def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        """Add (key, value) records, all or none. Returns their positions, in their order, once they survive a crash.

        Raises StateError where they cannot be kept (disk full, log locked); then none was added.
        """

    def read(self, partition: int, offset: int, limit: int = 1000) -> list[Event]:
        """At most `limit` events from `offset` on, oldest first; from the oldest kept one where `offset` was trimmed;
        empty at the end."""

    def bounds(self) -> dict[int, tuple[int, int]]:
        """Each partition's first kept offset and the offset that its next event will get."""

    def commit(self, group: str, positions: Mapping[int, int]) -> None:
        """Remember for `group` the next offset to read in each of these partitions. Durable when it returns."""

    def committed(self, group: str) -> dict[int, int]:
        """The next offset `group` has to read, for every partition; the oldest kept one where it never committed."""

    def trim(self, before: Mapping[int, int]) -> int:
        """Forget events whose offset is smaller than the partition's entry. Returns how many went; offsets never restart."""

    def close(self) -> None:
        """Let the log go; more than once is harmless."""


def open_event_log(url: str, topic: str, partitions: int = 4, *, producer: str = "", patience: float = 10.0) -> EventLog:
    """The topic in the log at `url` (`sqlite:FOLDER`, or a folder's path alone; `process:ADDRESS`: another process keeps that log), made
    where it is missing.

    For a log in another process: producer names who appends, so that nothing which an earlier opening of the same name has still on its way
    is added after this one; patience: seconds that one call may take.

    Raises UsageError on an unknown kind of log or a topic that is no plain name, StateError where it cannot be opened or was
    made with another number of partitions.
    """
    kind, colon, place = url.partition(":")
    if not colon or "/" in kind:
        kind, place = "sqlite", url
    if kind not in ("sqlite", "process") or not place:
        raise UsageError(f"{url!r} names no event log. Write sqlite:FOLDER.")
    if not topic.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"{topic!r} is no topic. Use letters, digits, - and _.")
    if kind == "process":
        from presage.events.remote import RemoteEventLog

        return RemoteEventLog(place, topic, partitions, producer, patience)
    from presage.events.embedded import EmbeddedEventLog

    return EmbeddedEventLog(Path(place.removeprefix("//")) / f"{topic}.db", partitions)
