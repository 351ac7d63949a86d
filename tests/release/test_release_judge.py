"""The judge's loop, over a real repository, simulated traffic and a passed-in clock: to the end or back, and killed at any moment."""

import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from builders.approvals import new_key
from builders.judge_process import BEGAN, LOOK, PLACE, World
from builders.repositories import ROOT, TWO, copied, serving
from builders.traffic import Behaviour, worse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from presage.errors import StateError
from presage.package.keys import Trust
from presage.package.reference import parse_reference
from presage.release.judge import COME_UP, ReleaseJudge
from presage.release.plan import start
from presage.release.records import read_records
from presage.release.repository import Repository
from presage.release.steps import Releasing

WAY = ["start", "prepare", "raise", "prepare", "raise", "promote", "retire"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return serving(tmp_path_factory.mktemp("repository") / "main")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return new_key(tmp_path_factory.mktemp("keys") / "judge.key")


def started(here, key) -> Releasing:
    releasing = Releasing(here.repository, PLACE, key, Trust.of([key.public]))
    situation = releasing.read()
    releasing.take(situation, start(situation.standing, TWO, situation.rules), BEGAN)
    return releasing


def steps(here, key) -> list[str]:
    with here.repository.tree(here.repository.head()) as tree:
        return [record.step.step for record in read_records(tree, PLACE, parse_reference(TWO), Trust.of([key.public]))]


def run(judge: ReleaseJudge, now: datetime, most: int = 400):
    """Until there is nothing to watch: (last outcome before that, when)."""
    last = None
    for _ in range(most):
        outcome = judge.tick(now)
        if not outcome.more:
            return last, now
        last, now = outcome, now + LOOK
    raise AssertionError(f"it did not end: {last}")


@pytest.mark.slow
def test_a_good_release_becomes_the_stable_one_step_by_step(source, key, tmp_path):
    here = copied(source, tmp_path / "main")
    judge = ReleaseJudge(started(here, key), World(Behaviour()), tmp_path / "state")
    _, ended = run(judge, BEGAN)
    assert steps(here, key) == WAY
    assert ended - BEGAN >= timedelta(minutes=25)  # the soaks of its tier
    with here.repository.tree(here.repository.head()) as tree:
        raised = [record for record in read_records(tree, PLACE, parse_reference(TWO)) if record.step.step in ("prepare", "promote")]
    assert all(record.step.evidence["form"] == "presage.judging/v1" for record in raised)  # what was counted stands in the step that follows from it
    assert here.git("status", "--short") == ""


@pytest.mark.parametrize("name", ["errors", *(pytest.param(name, marks=pytest.mark.slow) for name in ("latency", "scores", "outcomes"))])
def test_a_worse_release_is_taken_back_by_a_commit_that_says_why_and_how_many_answers_it_gave(source, key, tmp_path, name):
    here = copied(source, tmp_path / "main")
    releasing = started(here, key)
    detect = releasing.read().rules.canary.detect
    last, _ = run(ReleaseJudge(releasing, World(worse(detect, name, 2)), tmp_path / "state"), BEGAN)
    assert last.kind == "reverted" and steps(here, key) == ["start", "revert"]
    assert f"Release: {TWO}" in here.git("log", "-1", "--format=%B") and "answers in this step" in last.words
    assert releasing.read().standing.canary is None


def test_a_release_that_does_not_come_up_is_taken_back(source, key, tmp_path):
    here = copied(source, tmp_path / "main")
    judge = ReleaseJudge(started(here, key), World(Behaviour(), sick="0 of 1 canary Pods are ready (refused [approval])"), tmp_path / "state")
    assert judge.tick(BEGAN + COME_UP).kind == "waits"
    outcome = judge.tick(BEGAN + COME_UP + timedelta(seconds=1))
    assert outcome.kind == "reverted" and "refused [approval]" in outcome.words


def test_the_clock_of_a_step_starts_when_it_is_live(source, key, tmp_path):
    here = copied(source, tmp_path / "main")
    world = World(Behaviour(), sick="not yet")
    judge = ReleaseJudge(started(here, key), world, tmp_path / "state")
    now = BEGAN + timedelta(minutes=25)
    assert judge.tick(now).kind == "waits" and world.looks == 0
    world.sick = ""
    while (outcome := judge.tick(now)).kind == "counts":
        now += LOOK
    assert now - BEGAN >= timedelta(minutes=25 + 10) and outcome.taken.step == "prepare"


def test_a_freeze_holds_a_promotion_and_no_way_back(source, key, tmp_path):
    here = copied(source, tmp_path / "main")
    saturday = datetime(2026, 11, 28, 8, tzinfo=UTC)
    releasing = started(here, key)
    judge, now = ReleaseJudge(releasing, World(Behaviour()), tmp_path / "state"), saturday
    while (outcome := judge.tick(now)).kind == "counts":
        now += LOOK
    assert outcome.kind == "held" and "FRZ-1" in outcome.words and steps(here, key) == ["start"]
    bad = worse(releasing.read().rules.canary.detect, "errors", 3)
    last, _ = run(ReleaseJudge(releasing, World(bad), tmp_path / "other"), saturday)
    assert last.kind == "reverted"


def test_what_cannot_be_seen_is_waited_for(source, key, tmp_path):
    here = copied(source, tmp_path / "main")

    class Blind(World):
        def live(self, standing):
            raise StateError("nothing answers")

    outcome = ReleaseJudge(started(here, key), Blind(Behaviour()), tmp_path / "state").tick(BEGAN)
    assert (outcome.kind, outcome.words) == ("waits", "nothing answers")


class Killed(BaseException):
    """What SIGKILL is to a program: nothing after it runs."""


@pytest.mark.slow
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(points=st.lists(st.integers(1, 120), min_size=1, max_size=4))
def test_killed_at_any_moment_it_goes_on_and_takes_no_step_twice(source, key, tmp_path_factory, points):
    """Between any two calls of Git or writes of what was counted; started again each time, it ends as if it had never been killed."""
    folder = tmp_path_factory.mktemp("killed")
    here = copied(source, folder / "main")
    started(here, key)
    left = list(points)
    count = [0]
    original = Repository._git

    def interrupted(self, *words, **options):
        count[0] += 1
        if left and count[0] >= left[0]:
            left.pop(0)
            count[0] = 0
            raise Killed
        return original(self, *words, **options)

    Repository._git = interrupted
    now, world = BEGAN, World(Behaviour())
    try:
        for _ in range(600):
            judge = ReleaseJudge(Releasing(here.repository, PLACE, key, Trust.of([key.public])), world, folder / "state")
            try:
                while (outcome := judge.tick(now)).more:
                    now += LOOK
            except Killed:
                continue
            break
    finally:
        Repository._git = original
    assert not outcome.more and steps(here, key) == WAY
    releasing = Releasing(here.repository, PLACE, key)
    assert (releasing.read().standing.stable, releasing.read().standing.canary, releasing.read().standing.replicas) == (TWO, None, 2)


@pytest.mark.slow
def test_a_judge_that_the_kernel_kills_again_and_again_goes_on_and_takes_no_step_twice(source, key, tmp_path):
    """SIGKILL of the process, at moments drawn by a seed: mostly while it is at Git or writes what it has counted."""
    here = copied(source, tmp_path / "main")
    started(here, key)
    command = [sys.executable, "-m", "builders.judge_process", str(here.root), str(tmp_path / "state"), str(key.path)]
    draw, kills = random.Random(11), 0
    for _ in range(200):
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        if kills < 12:
            try:
                process.wait(draw.uniform(0.0, 0.6))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        process.stdout.close()
        if process.wait(120) == 0:
            break
    assert (kills, process.returncode, steps(here, key)) == (12, 0, WAY)
    standing = Releasing(here.repository, PLACE, key).read().standing
    assert (standing.stable, standing.canary, standing.replicas) == (TWO, None, 2)
    assert here.git("status", "--short") == "" and here.git("fsck", "--no-dangling") == ""


@pytest.mark.slow
def test_two_judges_at_once_take_each_step_once(source, key, tmp_path):
    here = copied(source, tmp_path / "main")
    started(here, key)
    judges = [
        ReleaseJudge(Releasing(here.repository, PLACE, key, Trust.of([key.public])), World(Behaviour(), seed), tmp_path / f"state{seed}") for seed in (1, 2)
    ]
    now = BEGAN
    while sum(judge.tick(now).more for judge in judges):  # both look each time
        now += LOOK
    assert steps(here, key) == WAY
