"""The very same row over and over is refused; everything that honest callers do is not."""

import random

import numpy as np
import pytest
from builders.ladders import Clock

from inference.path.flood import Replays, refuse_replays
from inference.path.request import PathRequest
from presage.errors import RequestRefused

KEY = b"0123456789abcdef"


@pytest.fixture
def clock():
    return Clock()


class Gate:
    """The guard with `most` a minute on a clock that the test turns; refused: how often it refused."""

    def __init__(self, clock, most=10):
        self.step, self.refusal = refuse_replays(Replays(clock, KEY), most), None

    def passes(self, x, **fields):
        try:
            self.step(PathRequest(x=np.asarray(x, np.float32), **fields))
        except RequestRefused as refusal:
            self.refusal = refusal
            return False
        return True


def row(seed, width=8):
    return np.random.default_rng(seed).normal(size=(1, width))


def test_a_replayed_row_is_refused_past_its_number_and_told_when_to_come_back(clock):
    gate = Gate(clock)
    assert [gate.passes(row(1)) for _ in range(13)] == [True] * 10 + [False] * 3
    assert (gate.refusal.status, gate.refusal.reason) == (429, "replayed") and gate.refusal.retry_after >= 1


def test_another_row_and_another_caller_are_not_meant(clock):
    gate = Gate(clock)
    while gate.passes(row(1), caller="key:a"):
        pass
    assert gate.passes(row(2), caller="key:a")
    assert gate.passes(row(1), caller="key:b")
    assert not gate.passes(row(1), caller="key:a")


def test_the_row_is_welcome_again_when_the_flood_has_ended(clock):
    gate = Gate(clock)
    while gate.passes(row(1)):
        pass
    clock.now += gate.refusal.retry_after
    assert gate.passes(row(1))


def test_a_row_sent_steadily_below_the_limit_never_meets_it(clock):
    gate = Gate(clock)
    for _ in range(500):
        assert gate.passes(row(1))
        clock.now += 60.0 / 8  # of 10: where a minute begins is off by one at most


def test_a_row_sent_steadily_above_the_limit_stays_refused(clock):
    gate = Gate(clock)
    answers = []
    for _ in range(400):
        answers.append(gate.passes(row(1)))
        clock.now += 1.0
    assert not any(answers[60:])


def test_servers_asked_for_by_name_are_never_counted(clock):
    gate = Gate(clock, most=1)
    for _ in range(100):
        gate.step(PathRequest(servers=["web-01"]))


def test_doors_inside_and_shadows_are_never_counted(clock):
    gate = Gate(clock, most=1)
    assert all(gate.passes(row(1), endpoint=endpoint) for endpoint in ("batch", "stream") for _ in range(20))
    assert all(gate.passes(row(1), shadow_of="0123") for _ in range(20))


def test_one_request_that_holds_a_row_twice_sent_it_once(clock):
    gate = Gate(clock, most=3)
    assert all(gate.passes(np.repeat(row(1), 16, axis=0)) for _ in range(3))
    assert not gate.passes(np.repeat(row(1), 16, axis=0))


def test_a_large_request_is_counted_as_a_whole(clock):
    gate = Gate(clock, most=3)
    large = np.random.default_rng(0).normal(size=(500, 8))
    assert all(gate.passes(large) for _ in range(3))
    assert not gate.passes(large)
    assert gate.passes(large[::-1])


def test_a_replay_hidden_in_honest_traffic_is_found_and_the_traffic_is_not(clock):
    """A thousand times as many other rows: the sketch's counters are shared by all of them."""
    replays = Replays(clock, KEY)
    generator = random.Random(3)
    replayed, others = 0.0, 0.0
    for index in range(200_000):
        others = max(others, replays.count("key:a", generator.randbytes(16)))
        if index % 1000 == 0:
            replayed = replays.count("key:a", b"the same")
        clock.now += 50.0 / 200_000
    assert replayed == pytest.approx(200, abs=10)
    assert others < 10


def test_memory_does_not_grow_with_callers_and_rows(clock):
    import tracemalloc

    replays = Replays(clock, KEY)
    replays.count("first", b"")
    tracemalloc.start()
    for index in range(20_000):
        replays.count(f"caller-{index}", index.to_bytes(8, "little"))
        clock.now += 0.01
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 3 << 20  # a fresh sketch takes the old one's place


def test_clocks_that_jump_forget_and_do_not_refuse(clock):
    gate = Gate(clock)
    while gate.passes(row(1)):
        pass
    clock.now += 3600
    assert gate.passes(row(1))


def test_over_http_it_is_429_with_a_time_to_come_back(guarded, serving_site):
    one = guarded(replayed_per_minute=5)
    body = one.row(serving_site.x[0])
    statuses = [one.ask(rows=[body])[0] for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    assert one.service.metrics.refused.values[("incident", "replayed")] == 2
    assert one.ask(servers=serving_site.servers[:1])[0] == 200
    assert len(one.decisions()) == 6
