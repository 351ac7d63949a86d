"""The plane runs Pods as manifests describe them: real processes, real probes, nothing left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from planes import ALIVE, claim, config_map, container, deployment, manifests

from presage.errors import PlaneError, PresageError, StateError
from presage.local import down, status, up
from presage.local.addresses import pod_address
from presage.local.children import marked
from presage.local.plane import require_room
from presage.local.record import plan_path, record_path
from presage.state import State


@pytest.fixture
def state(tmp_path):
    made = State.open(tmp_path / "state")
    yield made
    down(made)
    assert list(marked(made.root)) == []


def eventually(claim_holds, seconds=15.0):
    """Poll until it holds: the processes say when, not the clock."""
    until = time.monotonic() + seconds
    while not (found := claim_holds()):
        assert time.monotonic() < until, "did not come true in time"
        time.sleep(0.02)
    return found


def get(plane, path="/", name="web"):
    with urllib.request.urlopen(f"http://{plane.process(name).address}{path}", timeout=5) as answer:
        return answer.read().decode()


def pid_of(state, name="web"):
    return next(process.pid for process in record_of(state).processes if process.name == name)


def record_of(state):
    from presage.local.record import read_record

    return read_record(state.plane)


def web(*code, **fields):
    """A container that first runs these lines of Python, then serves its working folder."""
    script = "\n".join([*code, "import http.server, sys", "http.server.test(http.server.SimpleHTTPRequestHandler, bind=sys.argv[1], port=8080)"])
    return container(command=["python", "-c", script], args=["0.0.0.0"], **fields)


def test_up_returns_once_the_probe_is_answered_and_down_leaves_nothing(state, tmp_path):
    plane = up(state=state, manifests=manifests(tmp_path, deployment()))
    assert "Directory listing" in get(plane)
    pid = pid_of(state)
    assert down(state) == 1
    assert not psutil.pid_exists(pid)
    assert not status(state).running


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


def test_every_address_and_mount_path_is_replaced_and_nothing_else(state, tmp_path):
    objects = [
        claim("kept"),
        config_map("settings", {"greeting": "hello"}),
        deployment(
            containers=[
                web(
                    "import os, pathlib", "said = ' '.join(os.environ[name] for name in ('OUT', 'URL', 'LIKE', 'IP', 'WORD'))",
                    "pathlib.Path(os.environ['OUT']).write_text(said)",
                    env=[
                        {"name": "OUT", "value": "/data/said.txt"}, {"name": "URL", "value": "sqlite:/data/x.db"},
                        {"name": "LIKE", "value": "/database:10.0.0.0"},
                        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                        {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "greeting"}}},
                    ],
                    volumeMounts=[{"name": "data", "mountPath": "/data"}],
                )
            ],
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}],
        ),
    ]
    up(state=state, manifests=manifests(tmp_path, *objects))
    folder = state.plane / "volumes" / "kept"
    said = (folder / "said.txt").read_text().split()
    assert said == [f"{folder}/said.txt", f"sqlite:{folder}/x.db", "/database:10.0.0.0", pod_address(state.root, "presage/web-0"), "hello"]
    assert (folder.stat().st_mode & 0o777, (folder / "said.txt").stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_claim_outlives_down_and_an_empty_dir_does_not(state, tmp_path):
    mounts = [{"name": "kept", "mountPath": "/kept"}, {"name": "scratch", "mountPath": "/scratch"}, {"name": "memory", "mountPath": "/memory"}]
    volumes = [
        {"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}, {"name": "scratch", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
    ]
    script = "import pathlib, sys"
    writes = [f"pathlib.Path('/{name}/file').write_text('{name}')" for name in ("kept", "scratch", "memory")]
    writing = web(script, *writes, volumeMounts=mounts)
    up(state=state, manifests=manifests(tmp_path, claim("kept"), deployment(containers=[writing], volumes=volumes)))
    scratch = state.plane / "pods" / "presage" / "web-0" / "scratch" / "file"
    in_memory = list(Path("/dev/shm").glob(f"presage-{os.getuid()}-*/presage/web-0/memory/file"))
    assert scratch.read_text() == "scratch"
    assert [path.read_text() for path in in_memory] == ["memory"]
    down(state)
    assert (state.plane / "volumes" / "kept" / "file").read_text() == "kept"
    assert not scratch.exists()
    assert not any(path.exists() for path in in_memory)


def test_a_claim_and_a_config_map_can_be_parts_of_the_state(state, tmp_path):
    (state.keys / "other.pub").write_text("a public key")
    (state.releases / "index.json").write_text("{}")
    listing = web(
        "import pathlib", "print(sorted(p.name for f in ('/trust', '/store') for p in pathlib.Path(f).iterdir() if p.name[:2] != '..'), flush=True)",
        volumeMounts=[{"name": "trust", "mountPath": "/trust"}, {"name": "store", "mountPath": "/store"}],
    )
    volumes = [{"name": "trust", "configMap": {"name": "trust"}}, {"name": "store", "persistentVolumeClaim": {"claimName": "store"}}]
    parts = [claim("store", **{"plane.presage/folder": "releases"}), config_map("trust", {}, **{"plane.presage/files": "keys/*.pub"})]
    up(state=state, manifests=manifests(tmp_path, *parts, deployment(containers=[listing], volumes=volumes)))
    assert (state.plane / "logs" / "web.log").read_text().splitlines()[0] == "['index.json', 'local.pub', 'other.pub']"


def test_a_key_that_is_no_text_is_named(state, tmp_path):
    (state.keys / "other.pub").write_bytes(b"\xff\xfe")
    volumes = [{"name": "trust", "configMap": {"name": "trust"}}]
    mounted = web(volumeMounts=[{"name": "trust", "mountPath": "/trust"}])
    parts = [config_map("trust", {}, **{"plane.presage/files": "keys/*.pub"}), deployment(containers=[mounted], volumes=volumes)]
    with pytest.raises(PresageError, match=r"other\.pub: the file of .*trust is no UTF-8 text\. Remove it"):
        up(state=state, manifests=manifests(tmp_path, *parts))


def test_a_part_of_the_state_cannot_lead_out_of_it(state, tmp_path):
    volumes = [{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}]
    parts = [claim("store", **{"plane.presage/folder": "../elsewhere"}), deployment(volumes=volumes)]
    with pytest.raises(PlaneError, match="leads out of the state directory"):
        up(state=state, manifests=manifests(tmp_path, *parts))


def test_init_containers_run_in_order_before_the_containers(state, tmp_path):
    def step(name, *code):
        mounts = [{"name": "shared", "mountPath": "/shared"}]
        return {"name": name, "image": "presage/serving:0.1.0", "command": ["python", "-c", "\n".join(code)], "volumeMounts": mounts}

    first = step("first", "open('/shared/a', 'w').write('1')")
    second = step("second", "open('/shared/b', 'w').write(open('/shared/a').read() + '2')")
    main = web("print(open('/shared/b').read(), flush=True)", volumeMounts=[{"name": "shared", "mountPath": "/shared"}])
    pod = deployment(containers=[main], initContainers=[first, second], volumes=[{"name": "shared", "emptyDir": {}}])
    plane = up(state=state, manifests=manifests(tmp_path, pod))
    assert (state.plane / "logs" / "web.log").read_text().splitlines()[0] == "12"
    assert plane.process("web.first").phase == plane.process("web.second").phase == "done"


def test_an_init_container_that_refuses_ends_up_with_its_own_words(state, tmp_path):
    refusing = {"name": "gate", "image": "presage/serving:0.1.0", "command": ["python", "-c", "raise SystemExit('refused [digest]: not the one approved')"]}
    with pytest.raises(PlaneError, match=r"web\.gate does not come up: exit code 1: refused \[digest\]: not the one approved"):
        up(state=state, manifests=manifests(tmp_path, deployment(initContainers=[refusing])))
    assert not status(state).running


def test_a_container_that_never_starts_ends_up_and_leaves_nothing(state, tmp_path):
    failing = container(command=["python", "-c", "raise SystemExit('no luck')"], args=[])
    with pytest.raises(PlaneError, match=r"web does not come up: exit code 1: no luck\. `presage logs web`"):
        up(state=state, manifests=manifests(tmp_path, deployment(containers=[failing])))
    assert not status(state).running


def test_a_killed_container_comes_back_alone(state, tmp_path):
    other = container("other", ports=[{"name": "http", "containerPort": 8081}], args=["--bind", "0.0.0.0", "8081"])
    up(state=state, manifests=manifests(tmp_path, deployment(containers=[container(), other])))
    killed, untouched = pid_of(state), pid_of(state, "web.other")
    os.kill(killed, signal.SIGKILL)
    again = eventually(lambda: (found := status(state).process("web")).restarts == 1 and found.ready and found)
    assert get(status(state))
    assert (again.restarts, pid_of(state, "web.other")) == (1, untouched)


def test_the_liveness_probe_restarts_what_hangs(state, tmp_path):
    command = ["python", "-c", "import os, sys; sys.exit(os.path.exists('/flag/hang'))"]
    hang = {"exec": {"command": command}, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5}
    pod = deployment(
        containers=[container(livenessProbe=hang, volumeMounts=[{"name": "flag", "mountPath": "/flag"}])], volumes=[{"name": "flag", "emptyDir": {}}],
    )
    up(state=state, manifests=manifests(tmp_path, pod))
    (state.plane / "pods" / "presage" / "web-0" / "flag" / "hang").touch()
    ended = eventually(lambda: (found := status(state).process("web")).restarts >= 1 and found)
    assert ended.ended == "is not alive: exit code 1"


def test_readiness_comes_and_goes_without_a_restart(state, tmp_path):
    asked = {"httpGet": {"path": "/ok", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    mounts = [{"name": "www", "mountPath": "/www"}]
    serving = web("import os", "os.chdir('/www')", "open('ok', 'w')", readinessProbe=asked, volumeMounts=mounts)
    pod = deployment(containers=[serving], volumes=[{"name": "www", "emptyDir": {}}])
    up(state=state, manifests=manifests(tmp_path, pod))
    page = state.plane / "pods" / "presage" / "web-0" / "www" / "ok"
    page.unlink()
    assert eventually(lambda: (found := status(state).process("web")) and not found.ready and found).message == "not ready: HTTP status 404"
    page.touch()
    assert eventually(lambda: status(state).process("web").ready)
    assert status(state).process("web").restarts == 0


def test_startup_and_tcp_probes_are_asked_too(state, tmp_path):
    late = web("import time", "time.sleep(1.5)", startupProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30},
               readinessProbe={"tcpSocket": {"port": "http"}}, livenessProbe=ALIVE | {"failureThreshold": 1})  # fmt: skip
    assert up(state=state, manifests=manifests(tmp_path, deployment(containers=[late]))).process("web").restarts == 0


def test_a_container_that_never_answers_its_startup_probe_is_ended(state, tmp_path):
    deaf = container(startupProbe={"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1})
    with pytest.raises(PlaneError, match="web does not come up: did not start: Connect"):
        up(state=state, manifests=manifests(tmp_path, deployment(containers=[deaf])))


def test_a_container_over_its_memory_limit_is_ended(state, tmp_path):
    greedy = web(
        "import threading, os", "def grow():", "    while not os.path.exists('/flag/grow'): threading.Event().wait(0.05)",
        "    global held; held = bytearray(200 << 20)", "threading.Thread(target=grow, daemon=True).start()",
        volumeMounts=[{"name": "flag", "mountPath": "/flag"}], resources={"limits": {"memory": "128Mi"}},
    )
    up(state=state, manifests=manifests(tmp_path, deployment(containers=[greedy], volumes=[{"name": "flag", "emptyDir": {}}])))
    flag = state.plane / "pods" / "presage" / "web-0" / "flag" / "grow"
    flag.touch()
    ended = eventually(lambda: (found := status(state).process("web")).restarts >= 1 and found)
    assert re.match(r"OOMKilled: used \d+ MiB, over its limit of 128 MiB", ended.ended)


def test_sigterm_comes_first_and_sigkill_after_the_grace(state, tmp_path):
    polite = web("import signal, sys", "signal.signal(signal.SIGTERM, lambda *_: (print('goodbye', flush=True), sys.exit(0)))")
    up(state=state, manifests=manifests(tmp_path, deployment(containers=[polite])))
    down(state)
    assert "goodbye" in (state.plane / "logs" / "web.log").read_text()
    deaf = web("import signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    up(state=state, manifests=manifests(tmp_path, deployment(containers=[deaf], terminationGracePeriodSeconds=1)))
    pid = pid_of(state)
    down(state)
    assert not psutil.pid_exists(pid)


def test_children_of_a_container_end_with_it(state, tmp_path):
    parent = web("import subprocess, sys", "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)")
    up(state=state, manifests=manifests(tmp_path, deployment(containers=[parent])))
    assert len(list(marked(state.root))) == 2
    down(state)
    assert list(marked(state.root)) == []


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


def test_a_missing_claim_is_named(state, tmp_path):
    with pytest.raises(PlaneError, match="PersistentVolumeClaim 'gone', which no manifest holds"):
        up(state=state, manifests=manifests(tmp_path, deployment(volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "gone"}}])))


def test_a_kind_the_plane_does_not_run_is_refused(state, tmp_path):
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "presage"}, "spec": {}}
    with pytest.raises(PlaneError, match="Job presage/once: the plane does not run this kind"):
        up(state=state, manifests=manifests(tmp_path, job))


def test_what_cannot_be_enforced_is_listed_with_who_asks_it(state, tmp_path):
    strict = container(securityContext={"runAsNonRoot": True}, resources={"limits": {"cpu": "1"}})
    plane = up(state=state, manifests=manifests(tmp_path, deployment(containers=[strict])))
    assert plane.not_honoured["resources.limits.cpu: programs share this machine's cores"] == ["web/web"]
    assert any(text.startswith("securityContext") for text in plane.not_honoured)


def test_a_programs_environment_holds_no_secrets_of_the_shell(state, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOUD_TOKEN", "secret")
    up(state=state, manifests=manifests(tmp_path, deployment(containers=[web("import os", "print('CLOUD_TOKEN' in os.environ, flush=True)")])))
    assert (state.plane / "logs" / "web.log").read_text().splitlines()[0] == "False"


def test_nothing_runs_in_an_empty_state(state):
    assert (status(state).running, status(state).processes, down(state)) == (False, [], 0)


def cron_job(name="tidy", schedule="* * * * *", **fields):
    pod = {"automountServiceAccountToken": False, "restartPolicy": "Never", "containers": [{"name": name, "image": "presage/training:0.1.0"} | fields]}
    return {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": "presage"},
        "spec": {"schedule": schedule, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"backoffLimit": 1, "template": {"spec": pod}}}},
    }  # fmt: skip


def test_a_cron_job_runs_to_its_end_when_it_is_due_and_its_last_run_is_known(state, tmp_path):
    due = cron_job(command=["python", "-c", "print('tidied')"])
    plane = up(state=state, manifests=manifests(tmp_path, deployment(), due))
    assert plane.ready  # a job that is not due yet keeps nobody waiting
    last = eventually(lambda: record_of(state).jobs.get("presage/tidy"), seconds=75)
    assert last.succeeded
    assert "tidied" in (state.plane / "logs").joinpath(next(path.name for path in (state.plane / "logs").glob("tidy-*.log"))).read_text()
    assert status(state).ready


def test_a_schedule_that_is_none_stops_up_with_a_sentence(state, tmp_path):
    with pytest.raises(PresageError, match="'61' is no minute"):
        up(state=state, manifests=manifests(tmp_path, deployment(), cron_job(schedule="61 * * * *", command=["python"])))


def test_a_plan_has_one_digest_before_and_after_its_file(tmp_path):
    import msgspec

    from presage.files import read_json, write_json
    from presage.local.record import Plan, digest_of

    plan = Plan("local", [], {}, [], "simulated", 60)
    write_json(tmp_path / "plan.json", msgspec.to_builtins(plan))
    assert digest_of(msgspec.convert(read_json(tmp_path / "plan.json"), Plan)) == digest_of(plan)
