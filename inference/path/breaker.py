"""A breaker: leaves a member that fails alone for a while, asks it again with one request, and trusts it again after several.

    closed ──(failures in a row, or one that will not pass by itself)──► open
    open ──(cooldown over)──► half open: one attempt at a time
    half open ──(failure)──► open, the cooldown doubled        half open ──(`recover` successes)──► closed, the cooldown as at first

Between two openings lies at least one cooldown, and a member that opened is asked `recover` times before it carries everything again:
it cannot flap faster than that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from inference.path.model import Cause

State = Literal["closed", "open", "half open"]
AT_ONCE: frozenset[Cause] = frozenset({"out of memory", "not loaded"})
"""What the next request would only meet again."""


@dataclass(frozen=True)
class BreakerSettings:
    """failures: in a row that open it; cooldown, longest_cooldown: seconds; recover: successes that close it; slow_after: seconds."""

    failures: int = 5
    cooldown: float = 1.0
    longest_cooldown: float = 60.0
    recover: int = 3
    slow_after: float = 0.25


class Breaker:
    """One member's. clock: seconds, never going back. cause: of the failure that opened it last."""

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self.state: State = "closed"
        self.cause: Cause = "failed"
        self.opened = 0
        self._failures = self._successes = 0
        self._cooldown = settings.cooldown
        self._until = 0.0
        self._trying = False

    @property
    def slow_after(self) -> float:
        """Seconds after which an answer counts as a failure."""
        return self._settings.slow_after

    def admits(self) -> bool:
        """Whether the member may be asked now. Whoever gets True tells how it went, by `succeeded` or `failed`."""
        if self.state == "closed":
            return True
        if self.state == "open":
            if self._clock() < self._until:
                return False
            self.state, self._successes = "half open", 0
        if self._trying:
            return False
        self._trying = True
        return True

    def succeeded(self, seconds: float) -> None:
        """The member answered within `seconds`; too late is a failure."""
        if seconds > self._settings.slow_after:
            self.failed("slow")
            return
        self._trying = False
        self._failures = 0
        if self.state == "half open":
            self._successes += 1
            if self._successes >= self._settings.recover:
                self.state, self._cooldown = "closed", self._settings.cooldown

    def failed(self, cause: Cause) -> None:
        self._trying = False
        self._failures += 1
        if self.state == "half open":
            self._cooldown = min(2 * self._cooldown, self._settings.longest_cooldown)
        elif self.state == "open" or (self._failures < self._settings.failures and cause not in AT_ONCE):
            return
        self.state, self.cause, self._failures = "open", cause, 0
        self.opened += 1
        self._until = self._clock() + self._cooldown

    def unused(self) -> None:
        """The attempt that `admits` allowed was not made (the request ended before)."""
        self._trying = False
