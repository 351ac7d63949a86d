"""The incidents of a week, with causes."""

import numpy as np

from presage.telemetry.simulator.calendar import HALF_DAY, WEEK
from presage.telemetry.simulator.episodes import CAUSES, Episode
from presage.telemetry.simulator.fleet import Fleet
from presage.telemetry.simulator.randomness import generator

RAMP = {  # minutes of growth before users are hurt
    "memory_leak": (70, 180),
    "disk_fill": (70, 180),
    "connection_pool_exhaustion": (40, 130),
    "noisy_neighbour": (30, 100),
    "bad_deploy": (35, 110),
    "cascading_saturation": (35, 100),
    "certificate_expiry": (60, 180),
}
SINGLE = tuple(cause for cause in CAUSES if cause != "cascading_saturation")
# No incident starts near a week's edge, so that weeks can be drawn apart and never collide on a server.
_FIRST, _LAST = 240, WEEK - 420


def incident(fleet: Fleet, rng: np.random.Generator, server: int, cause: str, start: int) -> Episode:
    """One incident of `cause`, users being hurt from minute `start` (a certificate ends when it ends: the nearest such minute)."""
    if cause == "certificate_expiry":
        phase = int(fleet.traits["certificate"][server])
        start = phase + HALF_DAY * round((start - phase) / HALF_DAY)
    low, high = RAMP[cause]
    ramp = int(rng.integers(low, high + 1))
    lasts = int(np.clip(80 * np.exp(0.55 * rng.standard_normal()), 25, 300))
    settles = int(rng.integers(4, 25))
    return Episode(server, CAUSES[cause], start - ramp, start, start + lasts, start + lasts + settles,
                   peak=float(rng.uniform(0.8, 1.1)), bend=float(rng.uniform(0.8, 2.2)), cause=cause)


def cascade(fleet: Fleet, rng: np.random.Generator, root: int, start: int) -> list[Episode]:
    """Saturation that climbs from `root` to those who depend on it, minutes later a hop; each is hurt in its turn."""
    hit = {root: start}
    frontier = [root]
    while frontier and len(hit) < 6:
        current = frontier.pop(0)
        callers = fleet.callers(current)
        rng.shuffle(callers)
        for caller in callers[:3]:
            if caller not in hit and rng.random() < 0.75 and len(hit) < 6:
                hit[caller] = hit[current] + int(rng.integers(6, 28))
                frontier.append(caller)
    return [incident(fleet, rng, server, "cascading_saturation", begins) for server, begins in hit.items()]


def incidents_of_week(fleet: Fleet, week: int, rate: float) -> list[Episode]:
    """Incidents that start in week `week`, in order; `rate` a server and week, and about one cascade a week for six servers.

    Causes and servers come round like a shuffled deck and starts are spread over the week, so that a short period has
    its share of each; two incidents of one server never overlap.
    """
    rng, n = generator(fleet.seed, "incidents", week), len(fleet)
    singles = int(rate * n + rng.random())
    cascades = int(rate * n / 9 + rng.random()) if any(server.depends_on for server in fleet.servers) else 0
    deck = [int(server) for _ in range(singles // n + 1) for server in rng.permutation(n)]
    causes = [SINGLE[int(i)] for _ in range(singles // len(SINGLE) + 1) for i in rng.permutation(len(SINGLE))]
    plans = causes[:singles]
    for number in range(cascades):
        plans.insert(int((number + rng.random()) / cascades * (len(plans) + 1)), "cascading_saturation")
    roots = [i for i, server in enumerate(fleet.servers) if server.role.tier < 2 and fleet.callers(i)] or \
            [i for i in range(n) if fleet.callers(i)]
    drawn: list[Episode] = []
    for position, cause in enumerate(plans):
        start = week * WEEK + _FIRST + int((position + rng.random()) / len(plans) * (_LAST - _FIRST))
        if cause == "cascading_saturation":
            episodes = cascade(fleet, rng, roots[int(rng.integers(len(roots)))], start)
        else:
            episodes = [incident(fleet, rng, deck[0], cause, start)]
            deck.append(deck.pop(0))
        drawn += [episode for episode in episodes if not _collides(episode, drawn)]
    return sorted(drawn, key=lambda episode: episode.start)


def _collides(episode: Episode, others: list[Episode]) -> bool:
    return any(other.server == episode.server and other.overlaps(episode.ramp - 60, episode.settled + 60) for other in others)
