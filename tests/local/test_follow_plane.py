"""A small plane that follows a branch: real processes, real commits, and whatever may be killed of it."""

import json
import os
import signal
from dataclasses import dataclass
from io import StringIO

import jsonschema_rs
import msgspec
import psutil
import pytest
from branches import NOT_BAD, branch, commit, config_map
from builders.repositories import ROOT, Checkout
from planes import deployment, eventually, get, manifests, pid_of, record_of, web
from rich.console import Console

from presage.console.plane import print_status
from presage.errors import PlaneError
from presage.files import read_json, write_json
from presage.governance.audit import AuditLog
from presage.local import apply, down, status, status_document, up
from presage.local.children import marked
from presage.local.compare import compare
from presage.local.following import live, read_following
from presage.local.following.record import lock_path
from presage.local.holds import holder
from presage.local.record import plan_path
from presage.state import State


def says(text):
    """A Deployment whose page says `text`."""
    return deployment(containers=[web(f"open('index.html', 'w').write({text!r})")])


@dataclass(frozen=True)
class Followed:
    """A plane, and the repository whose main it follows."""

    state: State
    checkout: Checkout

    def commit(self, **applications):
        return commit(self.checkout, **applications)

    def run(self, text):
        """Have it run a page that says `text`, and nothing else of anybody before."""
        done = self.commit(policies=NOT_BAD, web=[says(text), config_map(text, "of-this-test")])
        eventually(lambda: live(self.state, "web", done) == "")
        return done


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """One for the tests that only commit: each begins with a commit of its own."""
    folder = tmp_path_factory.mktemp("plane")
    made = Followed(State.open(folder / "state"), branch(folder / "repository", policies=NOT_BAD, web=[says("one")]))
    up(state=made.state, follow="main", repository=made.checkout.root)
    yield made
    down(made.state)
    assert list(marked(made.state.root)) == []


@pytest.fixture
def checkout(tmp_path):
    return branch(tmp_path / "repository", policies=NOT_BAD, web=[says("one")])


@pytest.fixture
def followed(state, checkout):
    """One of its own, which may be ended."""
    up(state=state, follow="main", repository=checkout.root)
    return checkout


def page(state):
    """What the newest Pod that is ready says."""
    plane = status(state)
    ready = [one for one in plane.processes if one.ready]
    return get(plane, name=ready[-1].name) if ready else ""


def application(state, name="web"):
    return next(one for one in status(state).following.applications if one.name == name)


def test_a_commit_runs_at_once_and_is_live_when_it_does(plane):
    plane.run("one")
    assert page(plane.state) == "one"
    done = plane.commit(web=[says("two")])
    assert live(plane.state, "web", done)
    eventually(lambda: live(plane.state, "web", done) == "")
    assert page(plane.state) == "two"
    assert live(plane.state, "web", "HEAD~1") == ""  # what came before it is in it
    assert (application(plane.state).state, application(plane.state).applied) == ("Synced", done)
    assert compare(plane.state) == []


def test_what_is_refused_is_not_live_and_verify_says_what_it_would_be(plane):
    plane.run("one")
    refused = plane.commit(web=[says("one"), config_map("one", "of-this-test"), config_map("bad")])
    eventually(lambda: application(plane.state).state == "Refused")
    assert "Refused: ConfigMap presage/settings: ValidatingAdmissionPolicy 'values'" in live(plane.state, "web", refused)
    assert live(plane.state, "policies", refused) == ""
    assert [(one.object, one.rendered, one.running) for one in compare(plane.state)] == [("ConfigMap presage/settings", "present", "absent")]
    assert page(plane.state) == "one"


def test_status_shows_the_branch_and_why_an_application_is_not_at_it_to_people_and_to_programs(plane):
    good = plane.run("one")
    plane.commit(web=[says("one"), config_map("bad")])
    eventually(lambda: application(plane.state).state == "Refused")
    schema = json.loads((ROOT / "docs" / "schemas" / "status.json").read_text())
    document = msgspec.to_builtins(status_document(status(plane.state)))
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(document)
    shown = StringIO()
    print_status(status(plane.state), Console(file=shown, width=200))
    assert f"follows main of {plane.checkout.root} at {plane.checkout.repository.head()[:12]}" in shown.getvalue()
    assert f"web          Refused  {good[:12]}" in shown.getvalue()
    assert "web, Refused: ConfigMap presage/settings: ValidatingAdmissionPolicy 'values'" in shown.getvalue()


def test_what_does_not_come_up_is_degraded_and_what_ran_before_answers(plane):
    plane.run("before")
    broken = plane.commit(web=[deployment(containers=[web("raise SystemExit('no such thing')")])])
    eventually(lambda: application(plane.state).state == "Degraded", 30)
    assert "no such thing" in application(plane.state).message and "no such thing" in live(plane.state, "web", broken)
    assert page(plane.state) == "before"
    plane.run("after")
    assert page(plane.state) == "after"


def test_a_plan_that_was_edited_is_put_back(plane):
    plane.run("committed")
    healed = status(plane.state).following.healed
    plan = read_json(plan_path(plane.state.plane))
    for one in plan["objects"]:
        if one["kind"] == "Deployment":
            one["spec"]["replicas"] = 0
    write_json(plan_path(plane.state.plane), plan)
    eventually(lambda: status(plane.state).following.healed == healed + 1 and status(plane.state).ready)
    eventually(lambda: not status(plane.state).trouble)  # such a Deployment is one that could not be run
    assert page(plane.state) == "committed"
    assert status(plane.state).following.last_healed == "Deployment presage/web (web)"


def test_apply_from_a_working_tree_says_that_it_is_put_back(plane, tmp_path):
    heard = []
    plane.run("committed")
    with pytest.raises(PlaneError, match=r"the plan was put back: this plane follows a branch\. Commit the change there"):
        apply(state=plane.state, manifests=manifests(tmp_path, says("by hand")), say=heard.append)
    assert heard[0].startswith("this plane follows main")
    eventually(lambda: status(plane.state).ready and page(plane.state) == "committed")


def test_the_follower_killed_goes_on(plane):
    plane.run("before")
    pid = eventually(lambda: holder(lock_path(plane.state.plane)))
    os.kill(pid, signal.SIGKILL)
    plane.run("after")
    assert holder(lock_path(plane.state.plane)) != pid
    assert page(plane.state) == "after"


def test_a_changed_policy_and_a_refusal_stand_in_the_audit_log(plane):
    plane.run("one")
    before = len(list(AuditLog.open(plane.state.root / "audit").entries()))
    plane.commit(policies=[*NOT_BAD, config_map("x", "beside")], web=[says("two"), config_map("bad")])
    eventually(lambda: application(plane.state).state == "Refused")
    entries = [(one.kind, one.subject) for one in AuditLog.open(plane.state.root / "audit").entries()][before:]
    assert entries == [("policy-changed", "local/policies"), ("admission-refused", "local/web")]


@pytest.mark.slow
def test_a_follower_that_hangs_keeps_nobody_from_tending_the_pods(state, followed):
    pid = eventually(lambda: holder(lock_path(state.plane)))
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid_of(state), signal.SIGKILL)
    eventually(lambda: (found := status(state).process("web")).restarts == 1 and found.ready)
    down(state)  # and nobody from ending it
    assert not psutil.pid_exists(pid)


@pytest.mark.slow
def test_the_plane_s_own_program_killed_takes_its_follower_along_and_the_next_up_goes_on(state, followed):
    serving, follower, supervisor = pid_of(state), eventually(lambda: holder(lock_path(state.plane))), record_of(state).supervisor
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(follower))
    up(state=state, follow="main", repository=followed.root)
    assert pid_of(state) == serving
    done = commit(followed, web=[says("two")])
    eventually(lambda: live(state, "web", done) == "")


@pytest.mark.slow
def test_a_commit_that_comes_while_the_plane_starts_is_what_up_waits_for(state, checkout):
    slow = deployment(containers=[web("import time; time.sleep(2)", "open('index.html', 'w').write('first')")])
    commit(checkout, web=[slow])
    heard = []

    def say(sentence):
        heard.append(sentence)
        if len(heard) == 1:
            commit(checkout, web=[says("second")])

    assert up(state=state, follow="main", repository=checkout.root, say=say).ready
    eventually(lambda: live(state, "web", checkout.repository.head()) == "")
    assert page(state) == "second"


def test_up_without_a_branch_ends_the_following_and_down_forgets_it(state, followed, tmp_path):
    heard = []
    up(state=state, manifests=manifests(tmp_path, says("by hand")), say=heard.append)
    assert "main is not followed any more" in heard
    assert page(state) == "by hand" and status(state).following is None
    up(state=state, follow="main", repository=followed.root)
    assert page(state) == "one"
    down(state)
    assert read_following(state.plane) is None


@pytest.mark.slow
def test_a_plane_that_does_not_come_up_is_stopped_and_nothing_is_followed(state, checkout):
    commit(checkout, web=[deployment(containers=[web("raise SystemExit('never')")])])
    with pytest.raises(PlaneError, match="never"):
        up(state=state, follow="main", repository=checkout.root)
    assert (status(state).running, read_following(state.plane)) == (False, None)


@pytest.mark.slow
def test_a_running_plane_begins_to_follow_without_replacing_what_stays(state, checkout, tmp_path):
    up(state=state, manifests=manifests(tmp_path, says("one")))
    before = pid_of(state)
    up(state=state, follow="main", repository=checkout.root)
    assert pid_of(state) == before
    assert status(state).following.healed == 0
