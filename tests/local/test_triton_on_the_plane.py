"""The image of Triton on the plane: its bundled server, on the Pod's loopback, told apart and ended as a Pod would be."""

import http.client
import signal
import time
import uuid
from pathlib import Path

import psutil
import pytest
from builders.triton import convolution, repository
from planes import claim, deployment, eventually, manifests, pid_of, record_of

from presage.errors import PresageError
from presage.local import apply, status, up

HEALTH = ["curl", "--fail", "--silent", "--max-time", "2", "http://127.0.0.1:8000/v2/health"]


def triton(**fields):
    """A container as the runtime presage-gpu has it."""
    def probe(name):
        return {"exec": {"command": [*HEALTH[:-1], f"{HEALTH[-1]}/{name}"]}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 60}

    shut = "metadata,inference,shared-memory,model-repository,trace,logging:presage-closed=$(POD_UID)"
    return {
        "name": "triton", "image": "nvcr.io/nvidia/tritonserver:24.10-py3", "command": ["tritonserver"],
        "args": [
            "--model-repository=/mnt/models", "--model-control-mode=none", "--exit-timeout-secs=2", "--http-address=127.0.0.1", "--http-port=8000",
            "--grpc-address=127.0.0.1", "--grpc-port=9000", "--metrics-address=127.0.0.1", "--metrics-port=8002", f"--http-restricted-api={shut}",
        ],
        "env": [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}, {"name": "TMPDIR", "value": "/tmp"}],
        "startupProbe": probe("ready"), "readinessProbe": probe("live"),
        "volumeMounts": [{"name": "models", "mountPath": "/mnt/models"}, {"name": "scratch", "mountPath": "/tmp"}],
    } | fields  # fmt: skip


def overlay(folder, *containers, replicas=1):
    volumes = [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}, {"name": "scratch", "emptyDir": {}}]
    made = deployment("triton", containers=list(containers or [triton()]), volumes=volumes)
    made["spec"]["replicas"] = replicas
    return manifests(folder, claim("models", **{"plane.presage/folder": "models"}), made)


@pytest.fixture
def models(state):
    return repository(state.root / "models", convolution=convolution())


def ask(process, path="/v2/health/ready", headers=()):
    connection = http.client.HTTPConnection(process.inner, 8000, timeout=5)
    connection.request("GET", path, headers=dict(headers))
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_it_is_ready_when_its_models_are_and_listens_where_the_pod_s_programs_do(state, models, tmp_path):
    up(state=state, manifests=overlay(tmp_path))
    [process] = record_of(state).processes
    assert ask(process)[0] == 200
    listening = {one.laddr.ip.removeprefix("::ffff:") for one in psutil.Process(process.pid).connections() if one.status == psutil.CONN_LISTEN}
    assert listening == {process.inner}
    assert sorted(path.name for path in (models / "convolution" / "1").iterdir()) == ["model.onnx"]


@pytest.mark.long
def test_its_shut_doors_open_to_the_pod_s_own_identity_alone_which_each_pod_has_for_life(state, models, tmp_path):
    def word(process):
        arguments = psutil.Process(process.pid).cmdline()
        return next(one for one in arguments if one.startswith("--http-restricted-api")).rpartition("=")[2]

    up(state=state, manifests=overlay(tmp_path, replicas=2))
    first, second = record_of(state).processes
    assert ask(first, "/v2")[0] == ask(first, "/v2", {"presage-closed": word(second)}.items())[0] == 403
    assert ask(first, "/v2", {"presage-closed": word(first)}.items())[0] == 200
    assert uuid.UUID(word(first)).version == 4
    before = word(first)
    psutil.Process(first.pid).kill()
    eventually(lambda: pid_of(state, first.name) not in (None, first.pid) and status(state).process(first.name).ready, 30)
    assert word(next(one for one in record_of(state).processes if one.name == first.name)) == before


@pytest.mark.slow
def test_it_goes_on_for_as_long_as_its_hook_says_before_it_is_told_to_end(state, models, tmp_path):
    place = overlay(tmp_path, triton(lifecycle={"preStop": {"sleep": {"seconds": 2}}}))
    up(state=state, manifests=place)
    process = psutil.Process(pid_of(state, "triton"))
    [record] = record_of(state).processes
    supervisor = record_of(state).supervisor
    began = time.monotonic()
    psutil.Process(supervisor).send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in {one.phase for one in record_of(state).processes})
    assert ask(record)[0] == 200
    process.wait(20)
    assert time.monotonic() - began >= 2


def test_another_hook_is_refused(state, models, tmp_path):
    hook = {"preStop": {"exec": {"command": ["sleep", "1"]}}}
    with pytest.raises(PresageError, match="exec"):
        up(state=state, manifests=overlay(tmp_path, triton(lifecycle=hook)))


def test_a_gpu_that_is_asked_for_is_said_not_to_be_given(state, models, tmp_path):
    limits = {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}
    up(state=state, manifests=overlay(tmp_path, triton(resources={"limits": limits, "requests": limits})))
    assert any("GPU" in note for note in status(state).not_honoured)


@pytest.mark.slow
def test_a_changed_release_is_laid_over_anew(state, models, tmp_path):
    place = overlay(tmp_path)
    up(state=state, manifests=place)
    repository(state.root / "models", second=convolution(9))
    overlay(tmp_path, triton(args=[*triton()["args"], "--log-verbose=0"]))
    apply(state=state, manifests=place)
    [process] = record_of(state).processes
    log = Path(process.log).read_text()
    assert "successfully loaded 'second'" in log and "Traceback" not in log
