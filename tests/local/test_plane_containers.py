"""A container as a process: in order, probed, limited, ended; once a time where it is a CronJob's."""

import os
import re
import signal

import psutil
import pytest
from planes import ALIVE, container, deployment, eventually, get, manifests, pid_of, record_of, web

from presage.errors import PlaneError, PresageError
from presage.local import down, status, up
from presage.local.children import marked


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


@pytest.mark.long
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


def test_a_programs_environment_holds_no_secrets_of_the_shell(state, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOUD_TOKEN", "secret")
    up(state=state, manifests=manifests(tmp_path, deployment(containers=[web("import os", "print('CLOUD_TOKEN' in os.environ, flush=True)")])))
    assert (state.plane / "logs" / "web.log").read_text().splitlines()[0] == "False"


def cron_job(name="tidy", schedule="* * * * *", **fields):
    pod = {"automountServiceAccountToken": False, "restartPolicy": "Never", "containers": [{"name": name, "image": "presage/training:0.1.0"} | fields]}
    return {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": "presage"},
        "spec": {"schedule": schedule, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"backoffLimit": 1, "template": {"spec": pod}}}},
    }  # fmt: skip


@pytest.mark.slow
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
