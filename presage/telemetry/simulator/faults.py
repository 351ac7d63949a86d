"""Readings that a collector lost or garbled, so that validation has something true to find."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from presage.telemetry.metrics import CATALOGUE
from presage.telemetry.simulator.calendar import DAY
from presage.telemetry.simulator.physics import Metrics
from presage.telemetry.simulator.randomness import generator

LOST, OUTAGES, STUCK, IMPOSSIBLE = 0.0006, 0.02, 0.015, 0.02  # a reading; the others a server and day


@dataclass(frozen=True)
class Collected:
    """One day as it was collected: f32[n, 1440] a metric, and which readings arrived at all (bool[n, 1440])."""

    metrics: Metrics
    arrived: npt.NDArray[np.bool_]


def collect(metrics: Metrics, seed: int, day: int) -> Collected:
    """Lose single readings and minutes-long stretches; let a sensor hang for hours; write a value that cannot be."""
    rng = generator(seed, "faults", day)
    servers = next(iter(metrics.values())).shape[0]
    arrived = rng.random((servers, DAY), np.float32) >= LOST
    for server, minute in _events(rng, OUTAGES, servers):
        arrived[server, minute : minute + int(rng.integers(5, 35))] = False
    hangable = [name for name, metric in CATALOGUE.items() if metric.stuck_after]
    for server, minute in _events(rng, STUCK, servers):
        series = metrics[hangable[int(rng.integers(len(hangable)))]][server]
        series[minute : minute + int(rng.integers(80, 200))] = series[minute]
    ratios = [name for name, metric in CATALOGUE.items() if metric.high == 1]
    for server, minute in _events(rng, IMPOSSIBLE, servers):
        metrics[ratios[int(rng.integers(len(ratios)))]][server, minute] = rng.choice([-1.0, 2.55, 100.0])
    return Collected(metrics, arrived)


def _events(rng: np.random.Generator, rate: float, servers: int) -> list[tuple[int, int]]:
    return [(int(rng.integers(servers)), int(rng.integers(DAY))) for _ in range(rng.poisson(rate * servers))]
