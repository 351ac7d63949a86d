"""Seconds a family may train: a clock that says when to stop with what there is."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Budget:
    """seconds: what the policy allows. clock: monotonic seconds, passed in. `bound` becomes true where something was cut short."""

    seconds: float
    clock: Callable[[], float]
    bound: bool = False
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def spent(self) -> float:
        return self.clock() - self.started

    def left(self, share: float = 1.0) -> float:
        """Seconds until `share` of the budget is spent; negative where it is."""
        return share * self.seconds - self.spent

    def runs_out(self, share: float = 1.0, before: float = 0.0) -> bool:
        """Whether `share` of the budget is spent, or would be after `before` more seconds; remembers that it bound."""
        if self.left(share) > before:
            return False
        self.bound = True
        return True
