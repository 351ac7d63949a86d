"""The follower, look by look: over a real repository and a real state directory, without a plane that runs; the clock is passed in."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import pytest
from branches import NOT_BAD, branch, commit, config_map, policy

from presage.errors import InputError
from presage.files import write_json
from presage.local.following import begin, follower, read_following, stop_following
from presage.local.following.follower import Follower, pause
from presage.local.following.record import applied_path, following_path
from presage.local.planning import make_plan
from presage.local.record import Plan, PlaneRecord, ProcessRecord, plan_path, read_plan, write_record
from presage.state import State

NO_PROGRAM = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "presage"}, "spec": {}}
WEB = "local/web"


@dataclass
class Site:
    """now: the follower's clock. said: what it told."""

    state: State
    repository: object
    now: float = field(default_factory=time.time)
    said: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    follower: Follower | None = None

    def begin(self):
        begun = begin(self.state, self.repository.root, "main", "local")
        plan = make_plan(self.state, overlay="local", manifests=begun.manifests, rendered=begun.rendered, say=lambda sentence: None)
        begun.go_on(plan)
        write_json(plan_path(self.state.plane), msgspec.to_builtins(plan))
        return self.again()

    def again(self):
        """Another process, after a kill."""
        self.follower = Follower(self.state, read_following(self.state.plane), lambda *event: self.said.append(event), lambda: self.now)
        return self

    def look(self, seconds=0.0):
        self.now += seconds
        self.follower.look()
        return self

    def commit(self, **applications):
        return commit(self.repository, **applications)

    def application(self, name="web"):
        return read_following(self.state.plane).application(name)

    @property
    def following(self):
        return read_following(self.state.plane)

    @property
    def values(self):
        """Of the ConfigMaps that shall run."""
        return {one["metadata"]["name"]: one["data"]["value"] for one in read_plan(self.state.plane).objects if one["kind"] == "ConfigMap"}

    def spoil(self, value="by hand"):
        plan = json.loads(plan_path(self.state.plane).read_text())
        for one in plan["objects"]:
            if one["kind"] == "ConfigMap":
                one["data"]["value"] = value
        write_json(plan_path(self.state.plane), plan)

    def kinds(self):
        return [(kind, subject) for kind, subject, _ in self.said]


@pytest.fixture
def make(tmp_path):
    def made(**applications):
        return Site(State.open(tmp_path / "state"), branch(tmp_path / "repository", **applications)).begin()

    return made


def test_a_commit_is_taken_at_the_next_look_and_told_once(make):
    site = make(web=[config_map("a")], other=[config_map("a", "other")]).look()
    first = site.following.commit
    second = site.commit(web=[config_map("b")])
    site.look().look()
    assert site.values == {"settings": "b", "other": "a"}
    assert (site.application().applied, site.application().state, site.application("other").applied) == (second, "Synced", second)
    assert site.said == [("synced", WEB, {"commit": second, "before": first})]


def test_what_is_refused_leaves_what_runs_and_says_why_and_the_next_good_commit_is_taken_at_once(make):
    site = make(policies=NOT_BAD, web=[config_map("a")], other=[config_map("a", "other")]).look()
    good = site.following.commit
    bad = site.commit(web=[config_map("bad")], other=[config_map("b", "other")])
    site.look().look(60)
    assert site.values == {"settings": "a", "other": "b"}
    refused = site.application()
    assert (refused.state, refused.applied, refused.wanted) == ("Refused", good, bad)
    assert refused.message.endswith("ValidatingAdmissionPolicy 'values' with binding 'values' denied request: value: write a good one.")
    assert Counter(site.kinds())["admission-refused", WEB] == 1
    site.commit(web=[config_map("c")])
    assert site.look().values["settings"] == "c"
    assert (site.application().state, site.application().message) == ("Synced", "")


def test_a_refusal_is_over_when_the_commit_is_reverted(make):
    site = make(policies=NOT_BAD, web=[config_map("a")]).look()
    site.commit(web=[config_map("bad")])
    site.look()
    site.repository.git("revert", "--no-edit", "HEAD")
    site.look()
    assert (site.application().state, site.application().applied, site.values["settings"]) == ("Synced", site.following.commit, "a")


def test_a_policy_commit_is_told_and_judges_what_comes_with_it(make):
    site = make(web=[config_map("a")]).look()
    done = site.commit(policies=NOT_BAD, web=[config_map("bad")])
    site.look()
    assert site.kinds() == [("synced", "local/policies"), ("policy-changed", "local/policies"), ("admission-refused", WEB)]
    assert {facts["commit"] for _, _, facts in site.said} == {done}
    site.commit(policies=policy("true"))  # loosened: what waited is taken without another commit of its own
    assert site.look().values == {"settings": "bad"}


def test_what_cannot_be_run_is_tried_again_later_and_later_and_a_newer_commit_at_once(make, monkeypatch):
    tried = []
    settle = follower.settle
    monkeypatch.setattr(follower, "settle", lambda *given, **options: tried.append(site.now) or settle(*given, **options))
    site = make(web=[config_map("a")]).look()
    began = site.now
    site.commit(web=[config_map("b"), NO_PROGRAM])
    for _ in range(120):
        site.look(1)
    waits = [round(later - earlier) for earlier, later in pairwise(tried)]
    assert waits[:5] == [5, 10, 20, 30, 30] and tried[0] - began < 2
    assert site.application().state == "Failed" and "the plane does not run this kind" in site.application().message
    assert [kind for kind, _, _ in site.said] == ["sync-failed"]
    site.commit(web=[config_map("c")])
    assert site.look(1).values == {"settings": "c"}


@pytest.mark.parametrize(("tries", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 30), (5, 30), (10_000, 30)])
def test_the_pause_doubles_to_half_a_minute(tries, seconds):
    assert pause(tries) == seconds


def test_a_plan_that_somebody_edited_is_put_back_and_named(make):
    site = make(web=[config_map("a")], other=[config_map("a", "other")]).look()
    site.spoil()
    assert site.look().values == {"settings": "a", "other": "a"}
    assert (site.following.healed, site.following.last_healed) == (1, "ConfigMap presage/other, ConfigMap presage/settings (other, web)")
    assert site.kinds() == [("healed", "local/plan")]
    assert site.look().following.healed == 1


@pytest.mark.parametrize("damage", ["", "{", '{"overlay": 1}', None], ids=["empty", "half", "foreign", "gone"])
def test_a_plan_that_is_damaged_or_gone_is_written_anew(make, damage):
    site = make(web=[config_map("a")]).look()
    plan_path(site.state.plane).unlink() if damage is None else plan_path(site.state.plane).write_text(damage)
    assert site.look().values == {"settings": "a"}


def test_the_plan_of_an_older_commit_by_hand_is_put_back_too(make):
    site = make(web=[config_map("a")]).look()
    old = plan_path(site.state.plane).read_bytes()
    site.commit(web=[config_map("b")])
    site.look()
    plan_path(site.state.plane).write_bytes(old)
    assert site.look().values == {"settings": "b"}
    assert site.following.healed == 1


def test_a_newer_commit_and_a_hand_made_change_at_once_end_at_the_commit(make):
    site = make(web=[config_map("a")]).look()
    site.commit(web=[config_map("b")])
    site.spoil()
    assert site.look().look().values == {"settings": "b"}


def test_a_new_folder_is_a_new_application_and_one_that_is_gone_takes_its_objects_with_it(make):
    site = make(web=[config_map("a")], other=[config_map("a", "other")]).look()
    site.commit(other=None, new=[config_map("n", "new")])
    assert site.look().values == {"settings": "a", "new": "n"}
    assert [one.name for one in site.following.applications] == ["new", "web"]


def test_a_commit_without_anything_rendered_takes_nothing_away(make):
    site = make(web=[config_map("a")]).look()
    site.commit(web=None)
    site.look()
    assert site.values == {"settings": "a"}
    assert "has nothing in manifests/rendered/local" in site.following.message
    site.commit(web=[config_map("b")])
    site.look()
    assert (site.values, site.following.message) == ({"settings": "b"}, "")


def test_a_branch_that_is_gone_is_said_and_what_runs_stays(make):
    site = make(web=[config_map("a")]).look()
    site.repository.git("switch", "--quiet", "-c", "elsewhere")
    site.repository.git("branch", "-D", "main")
    site.spoil()
    site.look()
    assert "has no branch 'main'" in site.following.message and site.values == {"settings": "a"}
    site.repository.git("branch", "main")
    assert site.look(30).following.message == ""


def test_history_that_was_rewritten_is_followed(make):
    site = make(web=[config_map("a")]).look()
    first = site.following.commit
    site.commit(web=[config_map("b")])
    site.look()
    site.repository.git("reset", "--quiet", "--hard", first)
    assert site.look().values == {"settings": "a"}


def test_vaults_configuration_follows_the_commit_and_an_unchanged_one_changes_no_plan(make):
    site = make(web=[config_map("a")]).look()
    site.repository.commit("configure", **{"manifests/vault/policies/x.hcl": "# x"})
    site.look()
    configured = read_plan(site.state.plane)
    assert configured.vault and configured.manifests.endswith(configured.manifests.rpartition("/")[2])
    site.repository.commit("something else", **{"README.md": "x"})
    site.look()
    assert read_plan(site.state.plane) == configured
    site.repository.commit("configure badly", **{"manifests/vault/configuration.yaml": "engines: 1"})
    site.commit(web=[config_map("b")])
    site.look()
    assert "configuration.yaml" in site.following.message
    assert (site.values, read_plan(site.state.plane).vault) == ({"settings": "b"}, configured.vault)


def container(name="gate", pod="web-0", **fields):
    given = {"namespace": "presage", "address": "", "inner": "", "revision": "r", "ports": {}, "log": "", "workload": "web", "initializes": name == "gate"}
    return ProcessRecord(**{"name": f"{pod}.{name}", "pod": pod, "container": name, **given, **fields})


def supervised(site, *processes):
    write_record(site.state.plane, PlaneRecord("local", 1, 0.0, "running", {}, [], {}, site.following.plan, list(processes)))


def test_what_the_gate_refuses_is_degraded_in_its_words_until_a_good_commit(make):
    from planes import deployment

    site = make(web=[deployment()], other=[deployment("other")]).look()
    said = "exit code 1: refused [digest]: presage://incident:9@sha256:00 is nowhere"
    serving = container("kserve-container", release="presage://incident:9@sha256:00")
    supervised(site, container(ended=said, failures=1), serving, container("web", "other-0", workload="other", ready=True))
    site.look().look()
    assert (site.application().state, site.application().message) == ("Degraded", f"web-0.gate: {said}")
    assert site.application("other").state == "Synced"
    assert [(kind, facts["release"]) for kind, _, facts in site.said] == [("gate-refused", "presage://incident:9@sha256:00")]
    site.repository.commit("elsewhere", **{"README.md": "x"})
    assert site.look().application().state == "Degraded"  # a commit about something else mends nothing
    site.commit(web=[deployment(terminationGracePeriodSeconds=6)])
    site.look()
    supervised(site, container("web", "web-1", ready=True))
    assert site.look().application().state == "Synced"


def test_what_starts_again_and_again_is_degraded_and_what_failed_once_is_not(make):
    from planes import deployment

    site = make(web=[deployment()]).look()
    supervised(site, container("web", ended="exit code 1: no", failures=1))
    assert site.look().application().state == "Synced"
    supervised(site, container("web", ended="exit code 1: no", failures=3))
    assert site.look().application().state == "Degraded"
    assert site.said == []


def test_a_release_stays_bound_whatever_is_trained_meanwhile(make, monkeypatch):
    from presage.local import planning

    service = {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "incident", "namespace": "presage"},
        "spec": {"predictor": {"model": {"storageUri": "presage://incident:local"}}},
    }  # fmt: skip
    first, second = (f"presage://incident:{number}@sha256:{str(number) * 64}" for number in (1, 2))
    monkeypatch.setattr(planning, "trained_release", lambda *_: second)
    monkeypatch.setattr(planning, "expand", list)
    monkeypatch.setattr(planning, "check", lambda *_: None)
    stream = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "t"}, "spec": {"template": {"spec": {"containers": [
        {"name": "t", "args": ["--source=simulated"]}]}}}}  # fmt: skip
    texts = {"web": json.dumps(service).encode(), "streams": json.dumps(stream).encode()}
    site = make(web=[config_map("a")])
    given = {"overlay": "local", "manifests": site.state.root, "rendered": texts, "say": lambda sentence: None}
    assert make_plan(site.state, **given).bindings == {"presage://incident:local": second}
    assert make_plan(site.state, bound={"presage://incident:local": first}, **given).bindings == {"presage://incident:local": first}
    monkeypatch.setattr(planning, "trained_release", lambda *_: None)
    with pytest.raises(planning.PlaneError, match=r"`presage run incident-training --source simulated` makes one"):
        make_plan(site.state, bound={}, **given)  # the follower never trains


def test_beginning_is_refused_where_the_commit_is_and_nothing_is_changed(tmp_path):
    state = State.open(tmp_path / "state")
    repository = branch(tmp_path / "repository", policies=NOT_BAD, web=[config_map("bad")])
    with pytest.raises(InputError, match="denied request: value: write a good one"):
        begin(state, repository.root, "main", "local")
    with pytest.raises(InputError, match="has no branch 'absent'"):
        begin(state, repository.root, "absent", "local")
    assert not following_path(state.plane).exists()


def test_beginning_again_takes_what_ran_before_where_the_commit_is_refused(make):
    site = make(policies=NOT_BAD, web=[config_map("a")]).look()
    site.commit(web=[config_map("bad")])
    stop_following(site.state)  # as `down` does
    plan_path(site.state.plane).unlink()
    site.begin()
    assert (site.values, site.application().state) == ({"settings": "a"}, "Refused")


def test_a_following_that_was_ended_is_not_written_again(make):
    site = make(web=[config_map("a")]).look()
    assert stop_following(site.state) == "main"
    site.commit(web=[config_map("b")])
    site.look()
    assert read_following(site.state.plane) is None


@pytest.mark.parametrize("damage", ["{", None])
def test_a_lost_memory_takes_nothing_away_until_a_whole_commit_can_be_taken(make, damage):
    site = make(policies=NOT_BAD, web=[config_map("a")]).look()
    site.commit(web=[config_map("bad")])
    site.look()
    applied_path(site.state.plane).unlink() if damage is None else applied_path(site.state.plane).write_text(damage)
    site.again().look()
    assert site.values == {"settings": "a"} and "what ran before is not known" in site.following.message
    site.commit(web=[config_map("c")])
    assert site.look().values == {"settings": "c"}
    assert site.following.message == ""


class Killed(BaseException):
    """As SIGKILL: nothing is caught, nothing is finished."""


WRITES = ("write_applied", "write_following", "write_json")


class Writes:
    """Counts the follower's writes, and kills it before one of them."""

    def __init__(self, patched: pytest.MonkeyPatch, kill_at: int | None) -> None:
        self.count, self._kill_at = 0, kill_at
        for name in WRITES:
            patched.setattr(follower, name, self._counting(getattr(follower, name)))

    def _counting(self, real):
        def wrapped(*given):
            self.count += 1
            if self.count - 1 == self._kill_at:
                raise Killed
            real(*given)

        return wrapped


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A repository and its commits: one that is good, one that a policy refuses, one that cannot be run."""
    made = branch(tmp_path_factory.mktemp("history") / "repository", policies=NOT_BAD, web=[config_map("a")])
    first = made.git("rev-parse", "HEAD")
    commits = [commit(made, web=objects) for objects in ([config_map("b")], [config_map("bad")], [config_map("c"), NO_PROGRAM])]
    return made, first, commits


def lived_through(history, folder, kill_at):
    """(the plan's values, states, kinds told), how often it healed and wrote, after the whole history with one hand-made change in it."""
    repository, first, (good, refused, broken) = history
    repository.git("reset", "--quiet", "--hard", first)
    site = Site(State.open(folder), repository).begin()
    with pytest.MonkeyPatch.context() as patched:
        writes = Writes(patched, kill_at)
        for step in (good, "spoil", refused, broken):
            site.spoil() if step == "spoil" else repository.git("reset", "--quiet", "--hard", step)
            try:
                site.look(1)
            except Killed:
                site.again().look(1)
    site.look()
    following = site.following
    assert following.plan == follower.digest_of(read_plan(site.state.plane))
    states = {one.name: (one.state, one.message, one.applied) for one in following.applications}
    return (site.values, states, {kind for kind, _, _ in site.said}), following.healed, writes.count


def test_killed_before_any_of_its_writes_it_ends_where_it_would_have(history, tmp_path):
    undisturbed, healed, writes = lived_through(history, tmp_path / "whole", None)
    assert undisturbed[0] == {"settings": "b"}
    assert healed == 1 and writes > 8
    for kill_at in range(writes):
        ended, healed, _ = lived_through(history, tmp_path / str(kill_at), kill_at)
        assert ended == undisturbed, kill_at
        assert healed in (1, 2)  # what a kill cut short is begun again, and counted again


def test_a_plan_is_written_only_when_there_is_something_to_say(make):
    site = make(web=[config_map("a")]).look()
    before = {path: path.stat().st_mtime_ns for path in (plan_path(site.state.plane), following_path(site.state.plane), applied_path(site.state.plane))}
    for _ in range(20):
        site.look(1)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert isinstance(read_plan(site.state.plane), Plan)
