"""The fleet and all that happens in it, a day at a time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from presage.telemetry.metrics import CATALOGUE
from presage.telemetry.simulator.calendar import WEEK, minutes_of_day
from presage.telemetry.simulator.drives import drives_of
from presage.telemetry.simulator.episodes import Episode
from presage.telemetry.simulator.faults import Collected, collect
from presage.telemetry.simulator.fleet import Fleet
from presage.telemetry.simulator.lookalikes import lookalikes_of_day
from presage.telemetry.simulator.noise import Noise
from presage.telemetry.simulator.physics import SPREAD, metrics_of
from presage.telemetry.simulator.rhythm import activity
from presage.telemetry.simulator.schedule import incidents_of_week

# Noise of activity: of the whole fleet, of each product, of each server.
_SHARED, _OWN = 0.05, 0.07


@dataclass
class World:
    """What `fleet` goes through; `rate` incidents a server and week; `planned` are incidents beside the drawn ones.

    Days may be asked for in any order, each is the same whenever it is asked for; in order is fastest.
    """

    fleet: Fleet
    rate: float
    planned: tuple[Episode, ...] = ()
    _weeks: dict[int, list[Episode]] = field(default_factory=dict)
    _noises: dict[str, Noise] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seed, n = self.fleet.seed, len(self.fleet)
        products = int(self.fleet.groups.max()) + 1
        own = np.array([0.95, 0.9], np.float32)  # activity, wobble
        self._noises = {
            "metrics": Noise(seed, "metrics", np.array([SPREAD[name][2] for name in CATALOGUE], np.float32), n),
            "servers": Noise(seed, "servers", own, n),
            "products": Noise(seed, "products", np.array([0.97], np.float32), products + 1),
        }

    def incidents(self, first: int, last: int) -> list[Episode]:
        """Incidents with any minute of hurt in [first, last], by start: drawn ones, less what a planned one displaces."""
        weeks = range(first // WEEK - 1, last // WEEK + 2)
        drawn = [episode for week in weeks for episode in self._week(week)]
        every = [*self.planned, *(episode for episode in drawn if not _near(episode, self.planned, 120))]
        return sorted((e for e in every if e.start <= last and first <= e.end), key=lambda e: (e.start, e.server))

    def _week(self, week: int) -> list[Episode]:
        if week not in self._weeks:
            if len(self._weeks) > 8:  # a live stream never ends
                self._weeks.clear()
            self._weeks[week] = incidents_of_week(self.fleet, week, self.rate)
        return self._weeks[week]

    def episodes(self, day: int) -> list[Episode]:
        """Everything that can be seen on `day`. A near miss beside an incident of the same server would blur the label: it goes."""
        minutes = minutes_of_day(day)
        incidents = self.incidents(int(minutes[0]) - 1440, int(minutes[-1]) + 1440)
        harmless = [e for near in (day - 1, day, day + 1) for e in lookalikes_of_day(self.fleet, near)]
        incident_drives = {episode.drive for episode in incidents} | {"leak", "fill", "hold", "steal", "defect", "retry", "certificate"}
        return incidents + [e for e in harmless if e.drive not in incident_drives or not _near(e, incidents, 90)]

    def day(self, day: int) -> Collected:
        """Every metric of every server on `day` (minutes 1440·day …), as it was collected."""
        minutes = minutes_of_day(day)
        own, wobble = self._noises["servers"].day(day)
        shared = self._noises["products"].day(day)[0]
        drift = _SHARED * (shared[self.fleet.groups] + shared[-1]) + _OWN * own
        load = activity(self.fleet, minutes) * np.exp(drift)
        drives = drives_of(self.fleet, self.episodes(day), minutes, wobble)
        metrics = metrics_of(self.fleet, minutes, load, drives, self._noises["metrics"].day(day))
        return collect(metrics, self.fleet.seed, day)


def _near(episode: Episode, others: Iterable[Episode], margin: int) -> bool:
    return any(e.server == episode.server and e.overlaps(episode.ramp - margin, episode.settled + margin) for e in others)
