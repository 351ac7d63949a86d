"""Ladders over models whose moods a test decides; everything else of them is the real thing."""

import numpy as np

from inference.metrics.catalogue import ServingMetrics
from inference.path.breaker import Breaker, BreakerSettings
from inference.path.drift import Drifted, DriftGate
from inference.path.ladder import Ensemble, Ladder, RuleRung
from inference.path.member import Member
from inference.path.model import ModelFailed
from inference.path.request import PathRequest
from inference.path.router import Router
from presage.package.calibration import VennAbers

CALIBRATION = VennAbers(np.array([0.0, 1.0]), np.array([0.1, 0.2, 0.4]), np.array([0.2, 0.3, 0.6]))


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Mood:
    """A model: `cause` = how it fails now, None = it answers `score` (a number, or a function of a row); seconds: how long it takes."""

    def __init__(self, clock, score=0.5):
        self.clock, self.score, self.cause, self.seconds, self.calls = clock, score, None, 0.0, 0

    def __call__(self, x):
        self.calls += 1
        self.clock.now += self.seconds
        if self.cause is not None:
            raise ModelFailed(self.cause)
        return [float(self.score(row)) if callable(self.score) else self.score for row in x]


class Drifts:
    """What monitoring says."""

    def __init__(self):
        self.members = {}

    def set(self, member, value, limit=0.25):
        self.members[member] = Drifted("psi", value, limit)

    def of(self, member):
        return self.members.get(member)


class Site:
    """Members `ids` with their moods, on one clock."""

    def __init__(self, *ids, settings=None):
        settings = settings or BreakerSettings()
        self.clock, self.drift = Clock(), Drifts()
        self.moods = {id: Mood(self.clock, 0.1 + 0.1 * number) for number, id in enumerate(ids)}
        self.members = {
            id: Member(
                id, score=mood, remote=None, calibration=CALIBRATION, explainer=None, breaker=Breaker(settings, self.clock),
                drift=DriftGate(id, self.drift, 0.8), clock=self.clock, width=2,
            )
            for id, mood in self.moods.items()
        }  # fmt: skip
        self.metrics = ServingMetrics("incident", "1", "view", {"version": "0"}, lambda: 0)

    def ladder(self, *rungs, routes=(), weights=None, rules=(), default=0.05):
        who = {rung: self.members[rung] for rung in rungs}
        if weights:
            who[rungs[0]] = Ensemble([(self.members[id], share) for id, share in weights.items()])
        return Ladder(who, Router(routes, self.members), list(rules), default, self.metrics)


def asked(rows=1, value=0.0, deadline=float("inf"), **context):
    x = np.full((rows, 2), value, np.float32)
    request = PathRequest(x=x, context=context, deadline=deadline)
    request.row = x
    return request


def climb(ladder, *requests):
    """Run a climb that never waits to its end."""
    try:
        ladder.climb(list(requests)).send(None)
    except StopIteration:
        return list(requests)
    raise AssertionError("the ladder waited")


ALWAYS = RuleRung("always", 0, -1.0, None, 0.7)
