"""What a judge asks of wherever the release runs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

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
    `bound`: a release as it runs there, which on overlay local is what a name without a digest stands for.

    `begin`: from here on it is counted. `look`: what was counted since, or since the last look. Both raise StateError where nothing can be seen; the judge
    goes on at its next tick. `remember`, `recall`: up to where it has looked, so that another process goes on there.
    """

    def live(self, standing: Standing) -> str: ...

    def capacity(self) -> int: ...

    def bound(self, uri: str) -> str: ...

    def begin(self, standing: Standing, now: datetime) -> None: ...

    def look(self, standing: Standing, now: datetime) -> Look: ...

    def remember(self) -> dict[str, Any]: ...

    def recall(self, document: dict[str, Any]) -> None: ...
