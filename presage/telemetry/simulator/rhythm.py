"""Activity by time of day and day of week."""

import numpy as np

from presage.telemetry.simulator.calendar import DAY, Minutes
from presage.telemetry.simulator.fleet import Fleet, Floats


def activity(fleet: Fleet, minutes: Minutes) -> Floats:
    """f32[n, t], about 0.2 at night to 1 in the busy hours of a working day; weekends are quieter and start later."""
    traits = fleet.traits
    local = minutes[None, :] + traits["phase"][:, None]
    angle = (2 * np.pi / DAY) * local
    # Two harmonics: lowest near 03:30, a plateau from 10:00 to 20:00 with a dip after noon.
    day = 0.5 - 0.46 * np.cos(angle - 0.92 - 0.35) - 0.12 * np.cos(2 * angle - 0.6)
    day = np.clip((day + 0.08) / 1.1, 0, 1)
    night = traits["night"][:, None]
    # The weekend comes and goes over a few hours around midnight, not at a stroke.
    weekday = np.mod(local / DAY, 7)
    weekend = 1 / (1 + np.exp(-(weekday - 5.0) * 16)) * (1 / (1 + np.exp((weekday - 6.98) * 16))) + 1 / (1 + np.exp(weekday * 16 + 0.32))
    factor = 1 - (1 - traits["weekend"][:, None]) * np.clip(weekend, 0, 1)
    result: Floats = ((night + (1 - night) * day) * factor).astype(np.float32)
    return result
