"""When denials that were read are told: a new kind at once, all others within a minute, and never more than a budget allows.

    cadence = Cadence(time.monotonic)
    if cadence.is_due(log, groups, held_for=2.0) and cadence.affords(len(groups)):
        cadence.told(log, groups)

A kind is new unless it was told of that log within the last minute: a proxy that begins to refuse somebody is told at once, whoever else refuses the same.
Of one caller and one reason FEW paths a minute are new, of one reason FEW claims: junk makes nothing due.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from presage.governance.audit.denials import FEW, Group, is_claim

BUDGET = 60
"""Entries a minute, of all logs; as many at once after a quiet minute."""
MINUTE = 60.0


class Cadence:
    """clock: seconds, never going back."""

    def __init__(self, clock: Callable[[], float], budget: int = BUDGET) -> None:
        self.clock, self._budget = clock, budget
        self._left, self._at = float(budget), clock()
        self._told: dict[tuple[Path, tuple[str, str, str]], float] = {}

    def is_due(self, log: Path, groups: Iterable[Group], held_for: float) -> bool:
        if held_for >= MINUTE:
            return True
        now = self.clock()
        self._told = {kind: at for kind, at in self._told.items() if now - at < MINUTE}
        return any(self._is_new(log, group) for group in groups)

    def affords(self, entries: int) -> bool:
        now = self.clock()
        self._left, self._at = min(self._budget, self._left + (now - self._at) * self._budget / MINUTE), now
        return self._left >= entries

    def told(self, log: Path, groups: Iterable[Group]) -> None:
        now = self.clock()
        for group in groups:
            self._told[log, group.kind] = now
            self._left -= 1

    def _is_new(self, log: Path, group: Group) -> bool:
        if (log, group.kind) in self._told:
            return False
        kinds = [kind for told_of, kind in self._told if told_of == log]
        alike = [who for who, _, why in kinds if why == group.why and (who == group.who or (is_claim(who) and is_claim(group.who)))]
        return len(alike) < FEW
