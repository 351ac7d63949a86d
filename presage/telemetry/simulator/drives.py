"""What episodes do to servers, minute by minute."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from presage.telemetry.simulator.calendar import HALF_DAY, Minutes
from presage.telemetry.simulator.episodes import Episode
from presage.telemetry.simulator.fleet import Fleet, Floats

NAMES = ("leak", "fill", "hold", "steal", "defect", "retry", "batch", "traffic", "restart")


@dataclass(frozen=True)
class Drives:
    """f32[n, t] a drive; 0 = nothing, 1 = as far as an incident goes.

    leak: memory that is never given back · fill: files that are never removed · hold: connections that are never given
    back · steal: a neighbour takes CPU and disk · defect: a release that answers slowly and wrongly · retry: work
    multiplied by callers that try again · batch: a job beside the service · traffic: more users · restart: not serving.
    """

    levels: dict[str, Floats]
    certificate: Floats  # s until the served certificate expires; negative since it did

    def __getitem__(self, name: str) -> Floats:
        return self.levels[name]


def drives_of(fleet: Fleet, episodes: Iterable[Episode], minutes: Minutes, wobble: Floats) -> Drives:
    """Add up `episodes` over `minutes`. `wobble` f32[n, t] makes no growth smooth."""
    levels = {name: np.zeros((len(fleet), len(minutes)), np.float32) for name in NAMES}
    phase = fleet.traits["certificate"][:, None]
    remaining = 60 * (2 * HALF_DAY - np.mod(minutes[None, :] - phase, HALF_DAY)).astype(np.float32)
    first, last = int(minutes[0]), int(minutes[-1])
    for episode in episodes:
        if episode.settled < first or episode.first > last:
            continue
        if episode.drive == "certificate":
            unrenewed = (minutes >= episode.start - HALF_DAY) & (minutes <= episode.end)
            remaining[episode.server, unrenewed] = 60 * (episode.start - minutes[unrenewed])
            continue
        begin, stop = max(episode.ramp, first) - first, min(episode.settled, last) - first + 1
        row = levels[episode.drive][episode.server, begin:stop]
        np.maximum(row, episode.level(minutes[begin:stop]), out=row)
    for name in ("leak", "fill", "hold", "steal", "defect", "retry", "traffic"):
        # A full disk or pool wobbles less than the load of a neighbour.
        levels[name] *= 1 + (0.05 if name in ("leak", "fill") else 0.14) * wobble
    return Drives(levels, remaining)
