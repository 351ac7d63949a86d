"""The plane as a whole: started, changed, taken over, stopped; what it cannot run is said."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import msgspec
import psutil
import pytest
from planes import ALIVE, container, deployment, eventually, get, manifests, pid_of, record_of

from presage.errors import PlaneError, PresageError, StateError
from presage.files import read_json, write_json
from presage.local import down, status, up
from presage.local.addresses import pod_address
from presage.local.children import marked
from presage.local.plane import require_room
from presage.local.record import Plan, digest_of, plan_path, record_path
from presage.state import State


def test_up_returns_once_the_probe_is_answered_and_down_leaves_nothing(state, tmp_path):
    plane = up(state=state, manifests=manifests(tmp_path, deployment()))
    assert "Directory listing" in get(plane)
    pid = pid_of(state)
    assert down(state) == 1
    assert not psutil.pid_exists(pid)
    assert not status(state).running


@pytest.mark.long
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"overlay": 1}'])
def test_a_damaged_record_is_said_and_down_still_ends_everything(state, tmp_path, damage):
    up(state=state, manifests=manifests(tmp_path, deployment()))
    record = record_of(state)
    record_path(state.plane).write_text(damage)
    with pytest.raises(StateError, match=r"plane\.json is damaged .* `presage down` ends what runs there"):
        status(state)
    down(state)
    assert not psutil.pid_exists(record.supervisor)
    assert not psutil.pid_exists(record.processes[0].pid)
    assert not status(state).running


def test_up_writes_a_damaged_plan_and_record_anew(state, tmp_path):
    for path in (plan_path(state.plane), record_path(state.plane)):
        path.write_text("{")
    assert up(state=state, manifests=manifests(tmp_path, deployment())).ready


def test_up_does_not_wait_on_a_full_disk(tmp_path):
    with pytest.raises(StateError, match=r"no space left on the device \(512 bytes are free\)\. Free some space"):
        require_room(tmp_path, 512)
    require_room(tmp_path, 2**30)


def test_a_second_up_finds_it_running_and_changes_nothing(state, tmp_path):
    folder = manifests(tmp_path, deployment())
    up(state=state, manifests=folder)
    before = pid_of(state)
    up(state=state, manifests=folder)
    assert pid_of(state) == before


def test_a_changed_manifest_replaces_what_ran(state, tmp_path):
    up(state=state, manifests=manifests(tmp_path, deployment()))
    before = pid_of(state)
    up(state=state, manifests=manifests(tmp_path, deployment(containers=[container(env=[{"name": "A", "value": "1"}])])))
    assert pid_of(state, "web-1") != before  # made before the old one went
    assert not psutil.pid_exists(before)


def test_pods_run_on_while_their_supervisor_is_dead_and_the_next_up_takes_them_over(state, tmp_path):
    folder = manifests(tmp_path, deployment())
    first = up(state=state, manifests=folder)
    pid = pid_of(state)
    os.kill(record_of(state).supervisor, signal.SIGKILL)
    eventually(lambda: not status(state).running)
    assert get(first)
    second = up(state=state, manifests=folder)
    assert (pid_of(state), second.process("web").restarts) == (pid, 0)
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: (found := status(state).process("web")).restarts == 1 and found.ready and found)
    assert get(status(state))


@pytest.mark.long
def test_what_a_killed_supervisor_left_and_the_plan_no_longer_wants_is_ended(state, tmp_path):
    up(state=state, manifests=manifests(tmp_path, deployment(), deployment("old")))
    gone = pid_of(state, "old")
    os.kill(record_of(state).supervisor, signal.SIGKILL)
    eventually(lambda: not status(state).running)
    up(state=state, manifests=manifests(tmp_path, deployment()))
    assert not psutil.pid_exists(gone)


def test_down_ends_what_a_killed_supervisor_left(state, tmp_path):
    up(state=state, manifests=manifests(tmp_path, deployment()))
    os.kill(record_of(state).supervisor, signal.SIGKILL)
    eventually(lambda: not status(state).running)
    assert down(state) == 1


def test_two_planes_run_side_by_side(state, tmp_path):
    other = State.open(tmp_path / "other")
    folder = manifests(tmp_path, deployment())
    try:
        first, second = up(state=state, manifests=folder), up(state=other, manifests=folder)
        assert first.process("web").address != second.process("web").address
        down(other)
        assert get(first)
    finally:
        down(other)


def test_a_taken_port_is_named_with_its_address(state, tmp_path):
    address = pod_address(state.root, "presage/web-0")
    said = re.escape(f"{address}:8080, which container web of Pod web-0 needs, is taken by")
    with socket.create_server((address, 8080)), pytest.raises(PlaneError, match=said):
        up(state=state, manifests=manifests(tmp_path, deployment()))
    assert not status(state).running


@contextmanager
def another_up(state, folder):
    code = f"from presage.local import up; from presage.state import State; up(state=State({state.root!r}), manifests={folder!r}, detach=False); input()"
    code = code.replace("PosixPath", "__import__('pathlib').Path")
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_two_ups_on_one_state_do_not_fight(state, tmp_path):
    slow = container(readinessProbe=ALIVE | {"initialDelaySeconds": 3})
    folder = manifests(tmp_path, deployment(containers=[slow]))
    with another_up(state, folder):
        eventually(lambda: record_of(state))
        with pytest.raises(PlaneError, match="another `presage up`, `apply` or `down` is at work"):
            up(state=state, manifests=folder)


def test_an_attached_plane_ends_with_the_process_that_started_it(state, tmp_path):
    with another_up(state, manifests(tmp_path, deployment())) as process:
        eventually(lambda: status(state).ready)
        process.kill()
        eventually(lambda: not status(state).running and not list(marked(state.root)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"image": "nginx:1.29"}, r"no program of this machine stands for the image 'nginx:1\.29'"),
        ({"image": "presage/serving:latest"}, "has no fixed tag"),
        ({"command": []}, "has no command"),
        ({"command": ["bash"]}, "'bash' is no program of presage/serving"),
        ({"volumeMounts": [{"name": "absent", "mountPath": "/x"}]}, "a volume the Pod does not declare"),
        ({"readinessProbe": {"grpc": {"port": 8081}}}, "grpc"),
        ({"workingDir": "/app"}, "workingDir"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(state, tmp_path, fields, said):
    with pytest.raises(PresageError, match=said):
        up(state=state, manifests=manifests(tmp_path, deployment(containers=[container(**fields)])))
    assert not status(state).running


def test_a_kind_the_plane_does_not_run_is_refused(state, tmp_path):
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "presage"}, "spec": {}}
    with pytest.raises(PlaneError, match="Job presage/once: the plane does not run this kind"):
        up(state=state, manifests=manifests(tmp_path, job))


def test_what_cannot_be_enforced_is_listed_with_who_asks_it(state, tmp_path):
    strict = container(securityContext={"runAsNonRoot": True}, resources={"limits": {"cpu": "1"}})
    plane = up(state=state, manifests=manifests(tmp_path, deployment(containers=[strict])))
    assert plane.not_honoured["resources.limits.cpu: programs share this machine's cores"] == ["web/web"]
    assert any(text.startswith("securityContext") for text in plane.not_honoured)


def test_nothing_runs_in_an_empty_state(state):
    assert (status(state).running, status(state).processes, down(state)) == (False, [], 0)


def test_a_plan_has_one_digest_before_and_after_its_file(tmp_path):
    plan = Plan("local", [], {}, [], "simulated", 60)
    write_json(tmp_path / "plan.json", msgspec.to_builtins(plan))
    assert digest_of(msgspec.convert(read_json(tmp_path / "plan.json"), Plan)) == digest_of(plan)
