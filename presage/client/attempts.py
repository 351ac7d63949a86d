"""Which endpoint is tried next, after what pause, and how often at all.

    attempts = Attempts(len(endpoints), settings, budget, clock=…, chance=…)
    while (attempt := attempts.next(left)) is not None: …; attempts.failed(attempt.endpoint, retry_after)

The first endpoint is preferred as long as it answers. One that failed is asked after the others, and again when its time is over. Every
attempt after a call's first is paid from a budget that calls fill slowly, so that an outage is not answered with a storm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from presage.client.settings import ClientSettings


class RetryBudget:
    """Shared by all calls of a client."""

    def __init__(self, settings: ClientSettings) -> None:
        self._most, self._each = settings.retries_saved, settings.retries_per_call
        self._left = self._most
        self._lock = Lock()

    def called(self) -> None:
        with self._lock:
            self._left = min(self._most, self._left + self._each)

    def take(self) -> bool:
        """Whether one retry may be made."""
        with self._lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True


class Standing:
    """When each endpoint may be asked first again, on the client's clock; shared by all calls."""

    def __init__(self, endpoints: int) -> None:
        self.until = [0.0] * endpoints


@dataclass(frozen=True)
class Attempt:
    """pause: seconds to wait before it; seconds: how long it may take."""

    endpoint: int
    pause: float
    seconds: float


class Attempts:
    """Of one call. clock: seconds, never going back; chance: 0 to 1."""

    def __init__(
        self, standing: Standing, settings: ClientSettings, budget: RetryBudget, *, deadline: float, clock: Callable[[], float], chance: Callable[[], float]
    ) -> None:  # fmt: skip
        self._standing, self._settings, self._budget = standing, settings, budget
        self._deadline, self._clock, self._chance = deadline, clock, chance
        self._tried: list[int] = []
        self._ask_after = [0.0] * len(standing.until)

    def next(self) -> Attempt | None:
        """None where time or budget is used up."""
        now = self._clock()
        left = self._deadline - now
        if left <= 0 or (self._tried and not self._budget.take()):
            return None
        until = self._standing.until
        endpoint = min(range(len(until)), key=lambda one: (self._tried.count(one), until[one] > now, one))
        rounds = self._tried.count(endpoint)
        pause = 0.0
        if rounds:
            most = min(self._settings.longest_pause, self._settings.first_pause * 2 ** (rounds - 1))
            pause = max(most * self._chance(), self._ask_after[endpoint] - now)
        if pause >= left:
            return None
        self._tried.append(endpoint)
        others = len(set(range(len(until))) - set(self._tried))
        seconds = (left - pause) / 2 if others else left - pause  # one that hangs leaves time for another
        return Attempt(endpoint, pause, seconds)

    def failed(self, endpoint: int, retry_after: float | None) -> None:
        """retry_after: seconds, as the endpoint asked for."""
        wait = self._settings.cooldown if retry_after is None else retry_after
        self._standing.until[endpoint] = self._clock() + wait
        self._ask_after[endpoint] = 0.0 if retry_after is None else self._clock() + retry_after

    def answered(self, endpoint: int) -> None:
        self._standing.until[endpoint] = 0.0
