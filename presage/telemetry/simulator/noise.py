"""What wanders, with memory: first-order autoregressive noise, the same for a minute however one comes to it."""

from dataclasses import dataclass, field

import numpy as np

from presage.telemetry.simulator.calendar import DAY
from presage.telemetry.simulator.fleet import Floats
from presage.telemetry.simulator.randomness import generator

LONGEST_MEMORY = 0.98
"""Coefficients stay at or below this: what was a day ago then weighs 2e-13, so that a day's noise is exactly what its own
and the previous day's innovations make (the filter starts at rest one day earlier), and days join without a jump."""


@dataclass
class Noise:
    """Unit-variance noise of `channels` series a `concern`, each with its own coefficient."""

    seed: int
    concern: str
    memory: Floats  # f32[channels], in 0..LONGEST_MEMORY
    rows: int
    _innovations: dict[int, Floats] = field(default_factory=dict)

    def _innovation(self, day: int) -> Floats:
        """f32[1440, channels × rows]; the last two days are kept."""
        if day not in self._innovations:
            width = len(self.memory) * self.rows
            self._innovations = {kept: values for kept, values in self._innovations.items() if kept == day - 1}
            self._innovations[day] = generator(self.seed, self.concern, day).standard_normal((DAY, width), np.float32)
        return self._innovations[day]

    def day(self, day: int) -> Floats:
        """f32[channels, rows, 1440]."""
        before, today = self._innovation(day - 1), self._innovation(day)
        keep = np.repeat(self.memory, self.rows)
        gain = np.sqrt(1 - keep**2, dtype=np.float32)
        state = np.zeros(before.shape[1], np.float32)
        for row in before:
            state *= keep
            state += row
        result = np.empty_like(today)
        for minute, row in enumerate(today):
            state *= keep
            state += row
            result[minute] = state
        result *= gain
        return np.ascontiguousarray(result.T).reshape(len(self.memory), self.rows, DAY)
