"""Where a forge keeps the branch: each step is a pull request that somebody merges, the way back waits for nobody where it need not, and nothing is
committed here that the remote does not have."""

import random
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from builders.approvals import new_key
from builders.forge import running_forge
from builders.judge_process import LOOK, PLACE, World
from builders.repositories import TWO, copied, serving
from builders.traffic import Behaviour, worse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from presage.errors import StateError
from presage.package.keys import Trust
from presage.package.reference import parse_reference
from presage.release.asking import Asking, Closed
from presage.release.forge import Forge
from presage.release.judge import COME_UP, ReleaseJudge
from presage.release.plan import advance, revert, start
from presage.release.records import read_records
from presage.release.repository import Moved, Protected, Repository
from presage.release.steps import Releasing

WAY = ["start", "prepare", "raise", "prepare", "raise", "promote", "retire"]
BEGAN = datetime(2026, 11, 25, 8, tzinfo=UTC)
PREFIX = "release/production.models-network.incident.incident-2."


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return serving(tmp_path_factory.mktemp("repository") / "main")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return new_key(tmp_path_factory.mktemp("keys") / "judge.key")


@pytest.fixture
def here(source, tmp_path):
    """A checkout of one who releases."""
    return copied(source, tmp_path / "main")


@pytest.fixture
def forge(source, tmp_path):
    with running_forge(tmp_path, source) as forge:
        yield forge


def releasing(here, forge, key, folder, told=None) -> Releasing:
    asking = Asking(Forge.of(forge.url, forge.token), folder / "asked")
    hear = None if told is None else lambda taken, at: told.append((taken.step, taken.commit))
    return Releasing(Repository(here.root, "main", str(forge.bare)), PLACE, key, Trust.of([key.public]), told=hear, asking=asking)


def begun(one: Releasing, forge) -> None:
    """Release TWO has its first share."""
    situation = one.read(TWO)
    taken = one.take(situation, start(situation.standing, TWO, situation.rules), BEGAN)
    assert taken.request.endswith("/pull/1") and not taken.commit
    forge.merge(1)


def until(judge: ReleaseJudge, now: datetime, *kinds: str):
    """(the first outcome of these kinds, when)"""
    for _ in range(400):
        outcome = judge.tick(now)
        if outcome.kind in kinds:
            return outcome, now
        now += LOOK
    raise AssertionError(f"it did not come: {outcome}")


def steps(forge, key) -> list[str]:
    there = Repository(forge.bare, "main")
    with there.tree(there.head()) as tree:
        return [record.step.step for record in read_records(tree, PLACE, parse_reference(TWO), Trust.of([key.public]))]


@pytest.mark.slow
def test_a_release_goes_its_whole_way_by_requests_that_somebody_merges(here, forge, key, tmp_path):
    told = []
    one = releasing(here, forge, key, tmp_path, told)
    begun(one, forge)
    judge, now = ReleaseJudge(one, World(Behaviour()), tmp_path / "state"), BEGAN
    for how in ("merge", "squash") * 3:
        before = forge.git("rev-parse", "main")
        outcome, now = until(judge, now, "asked")
        assert judge.tick(now + LOOK).words == outcome.words and len(forge.open_ones) == 1  # it waits, and asks once
        assert forge.git("rev-parse", "main") == before and outcome.words.endswith("waits to be merged")
        forge.merge(len(forge.requests), how)
    assert not judge.tick(now + LOOK).more
    assert steps(forge, key) == WAY and [step for step, _ in told] == WAY
    assert all(forge.git("rev-parse", commit) == commit for _, commit in told)  # the commits that main has
    assert "no worsening of the size" not in forge.requests[0]["body"] and f"Release: {TWO}" in forge.requests[0]["body"]
    assert here.git("status", "--short") == ""


@pytest.mark.long
def test_a_worse_release_goes_back_at_once_where_the_branch_can_be_pushed(here, forge, key, tmp_path):
    one = releasing(here, forge, key, tmp_path)
    begun(one, forge)
    good = ReleaseJudge(one, World(Behaviour()), tmp_path / "state")
    _, now = until(good, BEGAN, "asked")
    assert forge.open_ones == [f"{PREFIX}02"]
    bad = World(worse(one.read().rules.canary.detect, "errors", 3))
    outcome, _ = until(ReleaseJudge(one, bad, tmp_path / "other"), now, "reverted")
    assert steps(forge, key) == ["start", "revert"] and outcome.taken.commit == forge.git("rev-parse", "main")
    assert forge.open_ones == [] and "was taken back by" in forge.comments[-1]
    assert here.git("rev-parse", "main") != outcome.taken.commit  # a branch that is behind by a merge stays where it is until somebody fetches


@pytest.mark.long
def test_a_worse_release_is_asked_back_where_the_branch_is_protected(here, forge, key, tmp_path):
    forge.protect()
    one = releasing(here, forge, key, tmp_path)
    begun(one, forge)
    until(ReleaseJudge(one, World(Behaviour()), tmp_path / "state"), BEGAN, "asked")
    bad = ReleaseJudge(one, World(worse(one.read().rules.canary.detect, "latency", 3)), tmp_path / "other")
    outcome, now = until(bad, BEGAN, "asked")
    assert forge.open_ones == [f"{PREFIX}02-back"] and outcome.taken.step == "revert"
    assert "is taken back: it is slower" in forge.requests[-1]["body"] and forge.requests[-1]["html_url"] in forge.comments[-1]
    forge.merge(len(forge.requests), "squash")
    assert not bad.tick(now + LOOK).more and steps(forge, key) == ["start", "revert"]


@pytest.mark.long
def test_what_a_person_closed_is_not_asked_again_until_it_is_opened_again(here, forge, key, tmp_path):
    one = releasing(here, forge, key, tmp_path)
    begun(one, forge)
    judge = ReleaseJudge(one, World(Behaviour()), tmp_path / "state")
    _, now = until(judge, BEGAN, "asked")
    forge.requests[1]["state"] = "closed"
    held = judge.tick(now + LOOK)
    assert held.kind == "held" and "/pull/2 was closed and not merged" in held.words and len(forge.requests) == 2
    forge.requests[1]["state"] = "open"
    assert judge.tick(now + 2 * LOOK).kind == "asked" and len(forge.requests) == 2


@pytest.mark.slow
def test_an_open_request_is_left_as_reviewers_saw_it_until_what_it_changes_was_changed(here, forge, key, tmp_path):
    one = releasing(here, forge, key, tmp_path)
    begun(one, forge)
    judge = ReleaseJudge(one, World(Behaviour()), tmp_path / "state")
    _, now = until(judge, BEGAN, "asked")
    asked = forge.git("rev-parse", f"{PREFIX}02")
    person = copied(here, tmp_path / "person")
    person.git("pull", "--quiet", "--rebase", str(forge.bare), "main")

    def committed(path: str, text: str) -> None:
        person.commit("a person's", **{path: text})
        person.git("push", "--quiet", str(forge.bare), "main")

    committed("policies/note", "elsewhere")
    assert judge.tick(now + LOOK).kind == "asked" and forge.git("rev-parse", f"{PREFIX}02") == asked
    replicas = "manifests/overlays/production/models-network/release.yaml"
    committed(replicas, "# by hand\n" + (person.root / replicas).read_text())
    assert judge.tick(now + 2 * LOOK).kind == "asked"
    assert forge.git("rev-parse", f"{PREFIX}02^") == forge.git("rev-parse", "main") and len(forge.requests) == 2
    forge.merge(2)
    assert "# by hand" in forge.git("show", f"main:{replicas}") and steps(forge, key) == ["start", "prepare"]


@pytest.mark.slow
def test_two_who_decide_at_once_come_to_one_request(here, forge, key, tmp_path):
    begun(releasing(here, forge, key, tmp_path), forge)
    judges = [ReleaseJudge(releasing(here, forge, key, tmp_path / str(seed)), World(Behaviour(), seed), tmp_path / f"state{seed}") for seed in (1, 2)]
    now = BEGAN
    while len(forge.requests) < 1 + 3 or forge.open_ones:
        for judge in judges:
            judge.tick(now)
        assert len(forge.open_ones) <= 1
        if forge.open_ones:
            forge.merge(len(forge.requests))
        now += LOOK
    assert steps(forge, key) == WAY[:4]


def test_a_step_that_was_merged_long_after_it_was_asked_for_has_its_time_to_come_up(here, forge, key, tmp_path):
    one = releasing(here, forge, key, tmp_path)
    begun(one, forge)
    judge = ReleaseJudge(one, World(Behaviour(), sick="0 of 1 canary Pods are ready"), tmp_path / "state")
    late = BEGAN + timedelta(hours=5)
    assert [judge.tick(late).kind, judge.tick(late + COME_UP).kind] == ["waits", "waits"]
    assert judge.tick(late + COME_UP + LOOK).kind == "reverted"


@pytest.mark.long
def test_what_the_remote_does_not_take_is_not_committed_here(here, forge, key, tmp_path):
    plain = Releasing(Repository(here.root, "main", str(forge.bare)), PLACE, key)
    situation = plain.read(TWO)
    change = start(situation.standing, TWO, situation.rules)
    before = here.git("rev-parse", "main")
    forge.protect()
    with pytest.raises(Protected, match="use a pull request"):
        plain.take(situation, change, BEGAN)
    (forge.bare / "hooks" / "update").unlink()
    person = copied(here, tmp_path / "person")
    person.commit("meanwhile", **{"policies/note": "x"})
    person.git("push", "--quiet", str(forge.bare), "main")
    with pytest.raises(Moved, match="decide again"):
        plain.take(situation, change, BEGAN)
    assert here.git("rev-parse", "main") == before and here.git("status", "--short") == ""
    here.git("pull", "--quiet", str(forge.bare), "main")
    taken = plain.take(plain.read(TWO), change, BEGAN)
    assert taken.commit == forge.git("rev-parse", "main") == here.git("rev-parse", "main") and here.git("status", "--short") == ""


def test_a_remote_or_a_forge_that_is_out_changes_nothing_and_is_said(here, forge, key, tmp_path):
    gone = Releasing(Repository(here.root, "main", str(tmp_path / "absent.git")), PLACE, key)
    with pytest.raises(StateError, match="does not give its branch 'main'"):
        gone.read()
    secret = Repository(here.root, "main", "https://judge:hunter2@127.0.0.1:9/presage.git")
    with pytest.raises(StateError) as error:
        secret.head()
    assert "hunter2" not in error.value.message and "127.0.0.1:9/presage.git" in error.value.message
    one = releasing(here, forge, key, tmp_path)
    situation = one.read(TWO)
    forge.token.write_text("bad")
    with pytest.raises(StateError, match="Bad credentials"):
        one.take(situation, start(situation.standing, TWO, situation.rules), BEGAN)
    assert forge.git("branch", "--list", "release/*") == "" and forge.requests == []


@pytest.mark.long
def test_a_way_back_needs_no_forge_where_the_branch_can_be_pushed(here, forge, key, tmp_path):
    one = releasing(here, forge, key, tmp_path)
    begun(one, forge)
    situation = one.read()
    one.take(situation, advance(situation.standing, situation.rules, 3, situation.original), BEGAN)
    forge.token.write_text("bad")
    taken = one.take(situation, revert(situation.standing, situation.original), BEGAN)
    assert taken.commit == forge.git("rev-parse", "main") and steps(forge, key) == ["start", "revert"]
    with pytest.raises(subprocess.CalledProcessError):  # what stayed open conflicts
        forge.merge(2)


@pytest.mark.long
def test_a_way_back_that_a_person_closed_holds_too(here, forge, key, tmp_path):
    forge.protect()
    one = releasing(here, forge, key, tmp_path)
    begun(one, forge)
    situation = one.read()
    one.take(situation, revert(situation.standing, situation.original), BEGAN)
    forge.requests[-1]["state"] = "closed"
    with pytest.raises(Closed, match="Open it again"):
        one.take(situation, revert(situation.standing, situation.original), BEGAN)


class Killed(BaseException):
    """What SIGKILL is to a program: nothing after it runs."""


@pytest.mark.slow
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(points=st.lists(st.integers(1, 60), min_size=3, max_size=8), draw=st.randoms(use_true_random=False))
def test_killed_between_any_two_calls_of_git_or_of_the_forge_it_asks_for_each_step_once(source, key, tmp_path_factory, points, draw: random.Random):
    folder = tmp_path_factory.mktemp("killed")
    here, left, count, told = copied(source, folder / "main"), list(points), [0], []
    git, ask = Repository._git, Forge._ask

    def counted(original):
        def call(self, *words, **options):
            count[0] += 1
            if left and count[0] >= left[0]:
                left.pop(0)
                count[0] = 0
                raise Killed
            return original(self, *words, **options)

        return call

    with running_forge(folder, source) as forge:
        begun(releasing(here, forge, key, folder, told), forge)
        now, world = BEGAN, World(Behaviour())
        Repository._git, Forge._ask = counted(git), counted(ask)
        try:
            for _ in range(600):
                judge = ReleaseJudge(releasing(here, forge, key, folder, told), world, folder / "state")
                try:
                    while (outcome := judge.tick(now)).more:
                        now += LOOK
                        if outcome.kind == "asked" and draw.random() < 0.5:
                            forge.merge(len(forge.requests))
                except Killed:
                    continue
                break
        finally:
            Repository._git, Forge._ask = git, ask
        assert not outcome.more and steps(forge, key) == WAY
        assert len(forge.requests) == len(WAY) and forge.open_ones == []
        assert [step for step, _ in dict.fromkeys(told)] == WAY  # each at least once; twice where it was killed between telling and forgetting
