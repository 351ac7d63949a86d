"""The plane follows a branch: a canary's commit gets traffic within seconds, what a policy or the gate refuses leaves what runs, a hand-made change is
put back, and a judge takes a bad release back by a commit; not one request fails."""

import json
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from builders.mesh_plane import PREDICT, RunningPlane
from builders.repositories import checkout

from presage.files import write_json
from presage.governance.audit import AuditLog
from presage.governance.compiling import compile_policies, write_files
from presage.governance.revoked import enter
from presage.local.compare import compare
from presage.local.record import plan_path, read_plan
from presage.manifests.render import render_overlay, write_rendered
from presage.package.keys import local_key
from presage.release.judge import ReleaseJudge
from presage.release.plan import revert, start
from presage.release.sources.outcomes import WithOutcomes, of_log, outcome_line
from presage.release.sources.plane import PlaneSource
from presage.release.standing import Place
from presage.release.steps import Releasing

PLACE = Place("local", "models-network", "incident")


class Callers:
    """Somebody who asks all the time; counts answers by what answered: release's version, and rung."""

    def __init__(self, plane: RunningPlane, bodies: Sequence[bytes] = (PREDICT[2],), told: Callable[[str, int], None] = lambda name, place: None) -> None:
        """told: hears of each prediction's id, and which of the bodies it was asked by."""
        self._bodies, self._told, self._draw = bodies, told, random.Random(5)
        self._plane, self._stopped, self._token = plane, threading.Event(), plane.token(seconds=3600)
        self.found: Counter[str] = Counter()
        self.rungs: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(2)]

    def _ask(self) -> None:
        method, path, _ = PREDICT
        connection = self._plane.connection(self._plane.certificate("operators"))
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        while not self._stopped.is_set():
            place = self._draw.randrange(len(self._bodies))
            connection.request(method, path, self._bodies[place], headers)
            answer = connection.getresponse()
            content = answer.read()
            prediction = json.loads(content)["predictions"][0] if answer.status == 200 else None
            self.found[prediction["model"]["version"] if prediction else f"status {answer.status}"] += 1
            self.rungs[prediction["rung"] if prediction else "none"] += 1
            if prediction:
                self._told(prediction["prediction_id"], place)
            if answer.will_close:
                connection.close()
                connection = self._plane.connection(self._plane.certificate("operators"))
            self._stopped.wait(0.005)

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(10)


def eventually(claim, seconds: float = 60.0) -> float:
    """Seconds until `claim` holds."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if claim():
            return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError("it did not come about")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return checkout(tmp_path_factory.mktemp("repository") / "main", "local")


@pytest.fixture(scope="module")
def followed(trained_state, repository, tmp_path_factory):
    with RunningPlane.follow(trained_state.root, tmp_path_factory.mktemp("plane"), repository.root) as running:
        yield running


def application(plane: RunningPlane, name: str):
    return next(one for one in plane.status.following.applications if one.name == name)


@pytest.mark.slow
def test_what_is_committed_is_what_runs_and_nobody_notices(followed, repository):
    source = PlaneSource(followed.state, PLACE)
    releasing = Releasing(repository.repository, PLACE, local_key(followed.state.keys))
    second = followed.second_release()
    with Callers(followed) as callers:
        # a canary by a commit
        situation = releasing.read()
        version = second.removeprefix("presage://incident:").partition("@")[0]
        releasing.take(situation, start(situation.standing, second, situation.rules), datetime.now(UTC))
        began = time.monotonic()
        eventually(lambda: callers.found[version] > 0)
        seconds = time.monotonic() - began
        print(f"commit to canary traffic: {seconds:.1f} s")
        eventually(lambda: source.live(releasing.read().standing) == "")
        assert compare(followed.state) == []  # rendered YAML and running processes differ in nothing

        # a hand-made change
        plan = read_plan(followed.state.plane)
        spoiled = msgspec.to_builtins(plan)
        for found in spoiled["objects"]:
            if found["kind"] == "HTTPRoute" and found["metadata"]["name"] == "incident":
                for rule in found["spec"]["rules"]:
                    for backend, weight in zip(rule["backendRefs"], (0, 100), strict=False):
                        backend["weight"] = weight
        write_json(plan_path(followed.state.plane), spoiled)
        eventually(lambda: followed.status.following.healed == 1 and source.live(releasing.read().standing) == "")

        # what a policy refuses: another scheme than the gate's
        before = repository.git("rev-parse", "HEAD")
        for path in ("manifests/overlays/local/models-network/canary.yaml", "manifests/rendered/local/models-network/manifest.yaml"):
            repository.replace(path, second, "s3://models/incident")
        repository.commit("a model past the gate")
        eventually(lambda: application(followed, "models-network").state == "Refused")
        assert "write presage://NAME:VERSION@sha256:DIGEST" in application(followed, "models-network").message
        assert application(followed, "platform").state == "Synced" and application(followed, "models-network").applied == before
        repository.git("revert", "--no-edit", "HEAD")
        eventually(lambda: application(followed, "models-network").state == "Synced")

        # a release that nobody can have: the gate refuses, the old one keeps answering
        situation = releasing.read()
        releasing.take(situation, revert(situation.standing, situation.original), datetime.now(UTC))
        absent = f"presage://incident:99@sha256:{'0' * 64}"
        situation = releasing.read(absent)
        releasing.take(situation, start(situation.standing, absent, situation.rules), datetime.now(UTC))
        eventually(lambda: application(followed, "models-network").state == "Degraded")
        assert "refused" in application(followed, "models-network").message
        situation = releasing.read()
        releasing.take(situation, revert(situation.standing, situation.original), datetime.now(UTC))
        eventually(lambda: application(followed, "models-network").state == "Synced" and source.live(releasing.read().standing) == "")
    assert [name for name in callers.found if name.startswith("status")] == [], callers.found
    assert seconds <= 10
    kinds = {entry.kind for entry in AuditLog.open(followed.state.root / "audit").entries()}
    assert {"admission-refused", "gate-refused"} <= kinds


@pytest.mark.slow
def test_a_judge_promotes_a_good_release_on_the_plane(followed, repository):
    """Tier low's plan with soaks of seconds: the commits of a whole release, each live before the next."""
    tiers = repository.root / "policies" / "risk-tiers.yaml"
    text = tiers.read_text()
    for lasts, short in (("10m", "5s"), ("5m", "3s"), ("30m", "10s"), ("15m", "10s"), ("2h", "20s"), ("1h", "20s")):
        text = text.replace(f"soak: {lasts}}}", f"soak: {short}}}")
    tiers.write_text(text)
    rollout = repository.root / "policies" / "rollout.yaml"
    rollout.write_text(rollout.read_text().partition("freezes:")[0])
    repository.commit("soaks of a demonstration, no freezes")
    releasing = Releasing(repository.repository, PLACE, local_key(followed.state.keys))
    good = followed.second_release()
    with Callers(followed) as callers:
        situation = releasing.read(good)
        releasing.take(situation, start(situation.standing, good, situation.rules), datetime.now(UTC))
        judge, taken = ReleaseJudge(releasing, PlaneSource(followed.state, PLACE), followed.state.root / "release"), []
        until = time.monotonic() + 400
        while time.monotonic() < until:
            outcome = judge.tick(datetime.now(UTC))
            if outcome.taken:
                taken.append(outcome.taken.step)
            if not outcome.more or outcome.kind == "reverted":
                break
            time.sleep(0.5)
        eventually(lambda: PlaneSource(followed.state, PLACE).live(releasing.read().standing) == "", 120)
    assert (taken[-2:], releasing.read().standing.stable) == (["promote", "retire"], good), (taken, outcome)
    assert [name for name in callers.found if name.startswith("status")] == [], callers.found


@pytest.mark.slow
@pytest.mark.parametrize(("how", "said"), [("scores", "its risks are distributed otherwise"), ("latency", "it is slower"), ("errors", "it fails more often")])
def test_a_judge_takes_a_bad_release_back_by_a_commit_and_says_how_many_answers_it_gave(followed, repository, how, said):
    """A calibration that was mixed up, a model that wastes its time, one that cannot compute live rows: the gate passes each, as it is signed and
    within its contract."""
    releasing = Releasing(repository.repository, PLACE, local_key(followed.state.keys))
    bad = followed.worse_release(how)
    before = releasing.read().standing
    with Callers(followed) as callers:
        situation = releasing.read(bad)
        releasing.take(situation, start(situation.standing, bad, situation.rules), datetime.now(UTC))
        judge = ReleaseJudge(releasing, PlaneSource(followed.state, PLACE), followed.state.root / "release")
        until = time.monotonic() + 240
        while time.monotonic() < until and (outcome := judge.tick(datetime.now(UTC))).kind != "reverted":
            assert outcome.more, outcome
            time.sleep(0.5)
        eventually(lambda: PlaneSource(followed.state, PLACE).live(releasing.read().standing) == "", 60)
    assert outcome.kind == "reverted" and said in outcome.words and "answers in this step" in outcome.words, outcome
    assert releasing.read().standing == before
    assert [name for name in callers.found if name.startswith("status")] == [], callers.found
    print(outcome.words)


@pytest.mark.slow
def test_a_judge_takes_a_release_back_whose_decisions_turn_out_wrong(followed, repository, tmp_path):
    """It answers for another server than the one asked about: as fast, without a failure, its risks distributed as ever. The simulator's labels tell it."""
    releasing = Releasing(repository.repository, PLACE, local_key(followed.state.keys))
    rows, names = followed.labelled_rows()
    bodies = [
        json.dumps({"rows": [{name: None if math.isnan(value) else float(value) for name, value in zip(names, row, strict=True)}], "explain": False}).encode()
        for row in rows.x
    ]  # fmt: skip
    bad = followed.worse_release("outcomes", rows)
    before = releasing.read().standing
    outcomes = tmp_path / "outcomes.ndjson"
    with outcomes.open("a", buffering=1) as file, Callers(
        followed, bodies, lambda name, place: file.write(outcome_line(name, incident=bool(rows.label[place])))
    ) as callers:  # fmt: skip
        situation = releasing.read(bad)
        releasing.take(situation, start(situation.standing, bad, situation.rules), datetime.now(UTC))
        source = WithOutcomes(PlaneSource(followed.state, PLACE), outcomes, of_log(followed.state.plane / "volumes" / "prediction-log"), print)
        judge = ReleaseJudge(releasing, source, followed.state.root / "release")
        until = time.monotonic() + 240
        while time.monotonic() < until and (outcome := judge.tick(datetime.now(UTC))).kind != "reverted":
            assert outcome.more, outcome
            time.sleep(0.5)
        eventually(lambda: PlaneSource(followed.state, PLACE).live(releasing.read().standing) == "", 60)
    assert outcome.kind == "reverted" and "its decisions are wrong more often" in outcome.words and "answers in this step" in outcome.words, outcome
    assert releasing.read().standing == before
    assert [name for name in callers.found if name.startswith("status")] == [], callers.found
    print(outcome.words)


@pytest.mark.slow
def test_a_release_that_is_revoked_by_a_commit_is_left_within_ten_seconds(followed, repository):
    """Running servers read the list again and answer by the next rung; nothing is started anew, and no request fails."""
    releasing = Releasing(repository.repository, PLACE, local_key(followed.state.keys))
    named = releasing.read().standing.stable
    stable = followed.status.bindings.get(named, named)
    pods = {process.name: process.restarts for process in followed.status.processes if process.release == stable}
    with Callers(followed) as callers:
        eventually(lambda: callers.rungs["primary"] > 50)
        head = repository.repository.head()
        with repository.repository.tree(head) as tree:
            enter(tree / "policies" / "revocations.yaml", stable.partition("@")[2], "trained on leaked labels", datetime.now(UTC).date())
            write_files(tree, compile_policies(tree, datetime.now(UTC)))
            write_rendered(tree / "manifests", "local", render_overlay(tree / "manifests", "local"))
            repository.repository.commit(head, tree, "incident: revoked")
        began, before = time.monotonic(), callers.rungs["primary"]
        while callers.rungs["primary"] > before or time.monotonic() - began < 1:
            assert time.monotonic() - began < 60, callers.rungs
            before, last = callers.rungs["primary"], time.monotonic() - began
            time.sleep(0.25)
        print(f"commit to left: {last:.1f} s, {callers.rungs}")
    assert last <= 10 and callers.rungs["rules"] + callers.rungs["default"] > 0, callers.rungs
    assert [name for name in callers.found if name.startswith("status")] == [], callers.found
    assert {process.name: process.restarts for process in followed.status.processes if process.release == stable} == pods
