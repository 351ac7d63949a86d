"""What Pods counted since the last look, arm by arm; as a document it outlives the process that looks."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from presage.release.sources.counters import Counts, sum_of
from presage.release.sources.source import Look


class Seen(NamedTuple):
    """arm: stable or canary; pod: a name that no later Pod has."""

    arm: str
    pod: str
    counts: Counts


class Since:
    """Subtracts. What was there at `begin` is nobody's; a Pod that comes later counts from nothing."""

    def __init__(self) -> None:
        self._before: dict[str, Counts] = {}

    def begin(self, seen: Iterable[Seen]) -> None:
        self._before = {one.pod: one.counts for one in seen}

    def look(self, seen: Iterable[Seen], now: datetime) -> Look:
        arms: dict[str, list[Counts]] = {"stable": [], "canary": []}
        for one in seen:
            arms.setdefault(one.arm, []).append(one.counts.since(self._before.get(one.pod)))
            self._before[one.pod] = one.counts
        return Look(now, sum_of(arms["stable"]), sum_of(arms["canary"]))

    def remember(self) -> dict[str, Any]:
        return {pod: counts.to_json() for pod, counts in self._before.items()}

    def recall(self, document: Mapping[str, Any]) -> None:
        mine = document.get("source", document)  # a judge that had outcomes, and has none now, left both
        self._before = {pod: Counts.from_json(counts) for pod, counts in mine.items()}
