"""`simulated[:servers=24,days=14,seed=7,metrics=all|host,incidents=1.5]`: the simulated fleet as a source."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from presage.errors import UsageError
from presage.telemetry.metrics import CATALOGUE, HOST_METRICS
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.schema import INCIDENT_SCHEMA, INTERVAL_SCHEMA, TIME, Metric, Telemetry
from presage.telemetry.simulator.calendar import DAY, EPOCH, PERIOD, moment
from presage.telemetry.simulator.fleet import build_fleet
from presage.telemetry.simulator.world import World
from presage.telemetry.sources import Spec

if TYPE_CHECKING:
    from presage.telemetry.simulator.stream import SimulatedStream


@dataclass(frozen=True)
class SimulatedSource:
    """A fleet of `servers` over `days` days from EPOCH; live, the same fleet from then on.

    metrics: `host` keeps those that psutil reads on a machine. incidents: drawn a server and week, cascades beside them.
    """

    spec: str
    servers: int = 24
    days: int = 14
    seed: int = 7
    metrics: Literal["all", "host"] = "all"
    incidents: float = 1.5
    name: str = "simulated"
    live: bool = True

    @classmethod
    def from_spec(cls, spec: Spec) -> "SimulatedSource":
        """Raises UsageError naming the option, its value and what it may be."""
        options = spec.options

        def whole(key: str, default: int, low: int, high: int) -> int:
            text = options.get(key, str(default))
            if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
                raise UsageError(f"--source {spec.text!r}: {key} is {text!r}. Give a whole number from {low} to {high}.")
            return int(text)

        metrics = options.get("metrics", "all")
        if metrics not in ("all", "host"):
            raise UsageError(f"--source {spec.text!r}: metrics is {metrics!r}. Choose all or host (those that psutil reads on a machine).")
        try:
            rate = float(options.get("incidents", "1.5"))
        except ValueError:
            rate = -1.0
        if not 0 <= rate <= 10:
            raise UsageError(f"--source {spec.text!r}: incidents is {options['incidents']!r}. Give how many a server and week, from 0 to 10.")
        return cls(spec.text, whole("servers", 24, 1, 2000), whole("days", 14, 1, 365), whole("seed", 7, 0, 2**32 - 1),
                   "host" if metrics == "host" else "all", rate)

    @property
    def columns(self) -> tuple[Metric, ...]:
        """The metrics it reports, in the catalogue's order."""
        return tuple(metric for metric in CATALOGUE.values() if self.metrics == "all" or metric.name in HOST_METRICS)

    def world(self) -> World:
        """What happens to this fleet, without the opening incident of a live stream."""
        return World(build_fleet(self.servers, self.seed), self.incidents)

    def read(self, quarantine: Quarantine) -> Telemetry:
        """`days` days of telemetry with every incident labelled; nothing is refused here (validation finds the sensors' faults)."""
        world = self.world()
        fleet, names = world.fleet, [metric.name for metric in self.columns]
        days = [world.day(day) for day in range(self.days)]
        arrived = np.concatenate([day.arrived for day in days], axis=1).ravel()
        minutes = self.days * DAY
        times = pl.datetime_range(EPOCH, moment(minutes - 1), PERIOD, time_unit="us", eager=True)
        readings = pl.DataFrame(
            {
                "entity": pl.Series(fleet.names).gather(np.repeat(np.arange(len(fleet), dtype=np.uint32), minutes)),
                "time": pl.Series("time", np.tile(times.to_physical().to_numpy(), len(fleet))).cast(TIME),
                **{name: np.concatenate([day.metrics[name] for day in days], axis=1).astype(np.float64).ravel() for name in names},
            }
        ).filter(pl.Series(arrived))
        incidents = world.incidents(0, minutes - 1)
        return Telemetry(
            readings=readings,
            metrics=self.columns,
            period=PERIOD,
            source=self.spec,
            entities=fleet.entities(),
            incidents=pl.DataFrame(
                [(fleet.names[e.server], moment(max(0, e.start)), moment(min(e.end, minutes - 1)), e.cause) for e in incidents],
                schema=INCIDENT_SCHEMA, orient="row").sort("entity", "start"),
            labelled=pl.DataFrame([(name, EPOCH, moment(minutes - 1)) for name in fleet.names], schema=INTERVAL_SCHEMA, orient="row"),
            notes=(f"A simulated fleet: {len(fleet)} servers, {self.days} days, seed {self.seed}.",),
        )

    def stream(self, speed: float, backfill: timedelta, start: datetime | None = None, opening: datetime | None = None) -> "SimulatedStream":
        """The same fleet, live from event time `start` (default: where the training period ends).

        `opening`: the event time 20 minutes after which the first, sure incident begins to grow (default: `start`). To
        resume a stream, give its first `opening` again and the event time to go on from as `start`: the same data follows.
        """
        from presage.telemetry.simulator.stream import SimulatedStream

        start = start or EPOCH + timedelta(days=self.days)
        return SimulatedStream.begin(self, speed, backfill, start, opening or start)
