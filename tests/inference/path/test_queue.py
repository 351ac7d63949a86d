"""What waits for the path: answered together, bounded, and shed in the right order."""

import numpy as np
import pytest
from builders.ladders import Clock
from hypothesis import given
from hypothesis import strategies as st

from inference.metrics.catalogue import ServingMetrics
from inference.path.bounds import Bounds, Capacity
from inference.path.queue import PredictionQueue
from inference.path.request import PathRequest


class Path:
    """Answers everything it is given and takes its time for each row; what it ran is kept."""

    remote = False

    def __init__(self, clock, seconds_per_row=0.001):
        self.clock, self.seconds_per_row, self.runs = clock, seconds_per_row, []

    def run(self, batch, done):
        self.runs.append([request.rows for request in batch])
        self.clock.now += self.seconds_per_row * sum(request.rows for request in batch)
        done(batch)


def asked(rows=1, deadline=float("inf")):
    return PathRequest(x=np.zeros((rows, 2), np.float32), deadline=deadline)


class Waiting:
    def __init__(self, **bounds):
        self.clock, self.scheduled = Clock(), []
        self.path = Path(self.clock)
        self.queue = PredictionQueue(self.path, ServingMetrics("m", "1", "v", {}, lambda: 0), Bounds(**bounds), self.clock, self.scheduled.append)
        self.answers = []

    def submit(self, request):
        self.queue.submit(request, self.answers.append)
        return request

    def measured(self):
        """So many rows that what they took is known: a millisecond each."""
        for _ in range(12):
            self.submit(asked(10_000))
            self.tick()
        self.answers.clear()

    def tick(self):
        calls, self.scheduled[:] = list(self.scheduled), []
        for call in calls:
            call()


@pytest.fixture
def waiting():
    return Waiting()


def test_all_that_arrive_within_a_tick_are_one_run(waiting):
    for rows in (1, 3, 1):
        waiting.submit(asked(rows))
    assert len(waiting.scheduled) == 1 and not waiting.answers
    waiting.tick()
    assert waiting.path.runs == [[1, 3, 1]] and len(waiting.answers) == 3
    waiting.submit(asked())
    waiting.tick()
    assert waiting.path.runs == [[1, 3, 1], [1]]


def test_what_is_submitted_while_answers_leave_is_the_next_ticks(waiting):
    later = asked()
    waiting.queue.submit(asked(), lambda _: waiting.submit(later))
    waiting.tick()
    assert waiting.path.runs == [[1]] and not waiting.answers
    waiting.tick()
    assert waiting.answers == [later]


def test_the_newest_is_shed_when_its_turn_would_come_too_late():
    waiting = Waiting(wait=0.01, least=1)
    waiting.measured()
    kept = [waiting.submit(asked(4)) for _ in range(3)]
    shed = waiting.submit(asked())
    waiting.tick()
    assert [request.refused for request in kept] == [None] * 3
    assert (shed.refused.status, shed.refused.reason, shed.refused.retry_after) == (503, "overload", 1) and len(waiting.answers) == 4


def test_few_callers_at_once_are_no_overload_however_slow_the_path_is():
    waiting = Waiting(wait=0.001, least=8)
    waiting.measured()
    requests = [waiting.submit(asked()) for _ in range(9)]
    waiting.tick()
    assert [request.refused is None for request in requests] == [True] * 8 + [False]


def test_those_that_could_not_be_answered_in_time_make_room_first():
    waiting = Waiting(wait=0.01, least=1)
    waiting.measured()
    hurried = waiting.submit(asked(12, deadline=waiting.clock.now + 0.002))
    patient = waiting.submit(asked(4))
    waiting.tick()
    assert (hurried.refused.status, hurried.refused.reason) == (504, "deadline") and patient.refused is None


def test_a_door_that_asks_before_it_parses_finds_the_room_that_they_made():
    waiting = Waiting(wait=0.01, least=1)
    waiting.measured()
    hurried = waiting.submit(asked(12, deadline=waiting.clock.now + 0.002))
    assert not waiting.queue.full() and hurried.refused.reason == "deadline"
    waiting.submit(asked(12))
    assert waiting.queue.full()
    refused = waiting.submit(asked(1)).refused
    assert (refused.status, refused.reason, refused.retry_after) == (503, "overload", 1)


def test_a_request_whose_deadline_passed_while_it_waited_is_not_answered(waiting):
    late = waiting.submit(asked(deadline=waiting.clock.now + 0.5))
    waiting.clock.now += 1.0
    waiting.tick()
    assert late.refused.reason == "deadline" and waiting.path.runs == []


def test_every_request_gets_a_deadline_of_its_own():
    waiting = Waiting(deadline=2.0)
    request = waiting.submit(asked())
    assert request.deadline == waiting.clock.now + 2.0


def test_capacity_follows_what_runs_take():
    capacity = Capacity()
    for _ in range(200):
        capacity.ran(64, 64 * 20e-6)
    assert capacity.seconds_per_row == pytest.approx(20e-6, rel=0.05)


def test_one_stall_does_not_turn_callers_away():
    capacity = Capacity()
    capacity.ran(1, 3.0)
    assert capacity.seconds_per_row < 60e-6


@given(st.lists(st.one_of(st.tuples(st.integers(0, 40), st.floats(0.0, 0.05)), st.none()), max_size=80))
def test_every_request_is_answered_exactly_once_and_what_waits_stays_bounded(steps):
    waiting = Waiting(wait=0.02, rows=200, least=1)
    submitted = []
    for step in steps:
        if step is None:
            waiting.tick()
            continue
        rows, patience = step
        submitted.append(waiting.submit(asked(rows, waiting.clock.now + patience)))
        assert waiting.queue._rows <= 200 + 40  # a request that fits is taken whole
    waiting.tick()
    assert sorted(map(id, waiting.answers)) == sorted(map(id, submitted)) and waiting.queue._rows == 0
    ran = sum(len(run) for run in waiting.path.runs)
    assert ran == sum(request.refused is None for request in submitted)
