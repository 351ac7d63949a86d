"""What a judge asks of wherever the release runs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from presage.release.sources.counters import Counts
from presage.release.standing import Standing


@dataclass(frozen=True)
class Look:
    """What was counted since the last look. shadow: of the stable release's Pods, how far the shadow was away, is in stable.differences."""

    at: datetime
    stable: Counts
    canary: Counts


class Source(Protocol):
    """`live`: why what runs is not yet what `standing` says; empty where it is. `capacity`: Pods that the stable predictor has, the canary's not counted.

    `look`: raises StateError where nothing can be seen; the judge goes on at its next tick.
    """

    def live(self, standing: Standing) -> str: ...

    def capacity(self) -> int: ...

    def look(self, standing: Standing, now: datetime) -> Look: ...
