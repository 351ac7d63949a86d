"""Something that befalls a server for a while: an incident, or something harmless that looks like one."""

from dataclasses import dataclass

import numpy as np

from presage.telemetry.simulator.calendar import HALF_DAY, Minutes
from presage.telemetry.simulator.fleet import Floats

CAUSES: dict[str, str] = {
    "memory_leak": "leak",
    "disk_fill": "fill",
    "connection_pool_exhaustion": "hold",
    "noisy_neighbour": "steal",
    "bad_deploy": "defect",
    "cascading_saturation": "retry",
    "certificate_expiry": "certificate",
}
"""Every cause of an incident → the drive that it moves (see drives.py)."""


@dataclass(frozen=True)
class Episode:
    """Minutes since EPOCH. It grows from `ramp` to `start`, holds until `end` (both inclusive) and is over at `settled`.

    drive:  what it moves; peak: how far (1 = as far as an incident does); bend: exponent of the growth.
    cause:  of an incident; None = harmless, whatever it looks like.
    """

    server: int
    drive: str
    ramp: int
    start: int
    end: int
    settled: int
    peak: float
    bend: float = 1.0
    cause: str | None = None

    @property
    def first(self) -> int:
        """The first minute at which it shows: a certificate that ends was not renewed half a day before."""
        return self.start - HALF_DAY if self.drive == "certificate" else self.ramp

    def overlaps(self, first: int, last: int) -> bool:
        """Whether its growth, hurt or decay falls into [first, last]."""
        return self.ramp <= last and first <= self.settled

    def level(self, minutes: Minutes) -> Floats:
        """f32[t]: how far it has come, 0..peak."""
        growth = np.clip((minutes - self.ramp) / max(1, self.start - self.ramp), 0, 1) ** self.bend
        decay = np.clip((self.settled - minutes) / max(1, self.settled - self.end), 0, 1)
        return (self.peak * np.minimum(growth, decay)).astype(np.float32)
