"""Harmless episodes of a day: what a model must learn not to fear."""

import numpy as np

from presage.telemetry.simulator.calendar import DAY, HALF_DAY
from presage.telemetry.simulator.episodes import CAUSES, Episode
from presage.telemetry.simulator.fleet import Fleet
from presage.telemetry.simulator.randomness import generator

BATCHES, RESTARTS, NEAR_MISSES = 0.15, 0.12, 0.22  # a server and day, beside the nightly batch
PEAKS = 0.6  # a product (group of servers) and day


def lookalikes_of_day(fleet: Fleet, day: int) -> list[Episode]:
    """Batch jobs, traffic peaks, restarts, and near misses: what begins like an incident and is cured before it hurts."""
    rng, first = generator(fleet.seed, "look-alikes", day), day * DAY
    return [*_batches(fleet, rng, first), *_peaks(fleet, rng, first), *_restarts(fleet, rng, first), *_near_misses(fleet, rng, first)]


def _batches(fleet: Fleet, rng: np.random.Generator, first: int) -> list[Episode]:
    nightly = [(int(server), first + int(fleet.traits["batch_minute"][server] + rng.normal(0, 6))) for server in np.flatnonzero(fleet.traits["batches"])]
    extra = [(int(rng.integers(len(fleet))), first + int(rng.integers(DAY))) for _ in range(rng.poisson(BATCHES * len(fleet)))]
    episodes = []
    for server, start in nightly + extra:
        end = start + int(rng.integers(20, 110))
        episodes.append(Episode(server, "batch", start - 2, start, end, end + 3, float(rng.uniform(0.4, 1.1))))
    return episodes


def _peaks(fleet: Fleet, rng: np.random.Generator, first: int) -> list[Episode]:
    """A campaign, a news item: every server of the product gets its share."""
    episodes = []
    products = int(fleet.groups.max()) + 1
    for _ in range(rng.poisson(PEAKS * products)):
        group, start, height = int(rng.integers(products)), first + int(rng.integers(DAY)), rng.uniform(0.25, 1.0)
        ramp, lasts, settles = int(rng.integers(10, 60)), int(rng.integers(15, 90)), int(rng.integers(20, 60))
        for server in np.flatnonzero(fleet.groups == group):
            episodes.append(Episode(int(server), "traffic", start - ramp, start, start + lasts, start + lasts + settles,
                                    float(height * rng.uniform(0.8, 1.2)), 1.5))
    return episodes


def _restarts(fleet: Fleet, rng: np.random.Generator, first: int) -> list[Episode]:
    episodes = []
    for _ in range(rng.poisson(RESTARTS * len(fleet))):
        server, start = int(rng.integers(len(fleet))), first + int(rng.integers(DAY))
        end = start + int(rng.integers(1, 5))
        episodes.append(Episode(server, "restart", start - 1, start, end, end + 3, 1.0))
    return episodes


def _near_misses(fleet: Fleet, rng: np.random.Generator, first: int) -> list[Episode]:
    """The start of an incident without its end: memory collected, logs rotated, a query ended, a certificate renewed late."""
    drives = list(CAUSES.values())
    episodes = []
    for _ in range(rng.poisson(NEAR_MISSES * len(fleet))):
        server, drive = int(rng.integers(len(fleet))), drives[int(rng.integers(len(drives)))]
        if drive == "certificate":
            expiry = first + int(fleet.traits["certificate"][server]) + HALF_DAY * int(rng.integers(2))
            renewed = expiry - int(rng.integers(8, 240))
            episodes.append(Episode(server, drive, renewed - 60, expiry, renewed, renewed, 1.0))
            continue
        start = first + int(rng.integers(DAY))
        ramp, settles = int(rng.integers(25, 150)), int(rng.integers(2, 45))
        end = start + int(rng.integers(0, 25))
        episodes.append(Episode(server, drive, start - ramp, start, end, end + settles,
                                peak=float(rng.uniform(0.3, 0.85)), bend=float(rng.uniform(0.8, 2.2))))
    return episodes
