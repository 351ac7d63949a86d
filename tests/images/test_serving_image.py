"""The serving image, by its digest, as the rendered manifests of overlay local run it: the gate admits, the path answers, nothing else is possible."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from builders.logs import DAY, NOON, decision, write_log
from kubelet import Pod

from benchmarks.serving_process import ServerProcess
from presage.governance.audit import AuditLog
from presage.package.store import ReleaseStore

pytestmark = pytest.mark.images
SHELLS = ("/usr/bin/dash", "/usr/bin/bash", "/usr/bin/perl")
STORE = "/var/lib/presage/releases"
GATE = {"PRESAGE_RELEASE_STORE": STORE, "PRESAGE_VAULT_ADDRESS": None}
"""A folder store in place of the object store, and nothing sealed in it: neither is here to be asked."""


def predictor(site, folder, store):
    """The predictor's Pod with the site's keys trusted and its online rows in place."""
    pod = Pod.rendered("incident-predictor", folder, environment=GATE, mounts={store: STORE}, shadowed=SHELLS)
    for key in site.trust_keys.glob("*.pub"):
        (pod.volume("release-trust") / key.name).write_bytes(key.read_bytes())  # readable by all, as a ConfigMap's files are
    for path in site.online_store.parent.glob(f"{site.online_store.name}*"):
        (pod.volume("online-store") / path.name).write_bytes(path.read_bytes())
        (pod.volume("online-store") / path.name).chmod(0o666)
    return pod


def readable(folder):
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture(scope="module")
def store(serving_site, tmp_path_factory):
    """The site's releases, readable by the Pod's user."""
    return readable(shutil.copytree(serving_site.model_dir.parent / "releases", tmp_path_factory.mktemp("store") / "releases"))


@pytest.fixture(scope="module")
def uri(store):
    """The release as Git names it: by digest."""
    return str(ReleaseStore(store).latest("incident"))


@pytest.fixture
def tampered(serving_site, store, tmp_path):
    """A Pod whose store holds the release with one byte of its largest file changed."""
    copied = shutil.copytree(store, tmp_path / "releases")
    largest = max((path for path in copied.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return predictor(serving_site, tmp_path / "volumes", copied)


@pytest.fixture(scope="module")
def pod(serving_site, tmp_path_factory, store):
    return predictor(serving_site, tmp_path_factory.mktemp("pod") / "volumes", store)


@pytest.fixture(scope="module")
def admitted(pod, node, serving, uri):
    code, said, _ = pod.run(node, serving, "storage-initializer", uri)
    assert code == 0, said
    return pod


@pytest.fixture(scope="module")
def running(admitted, node, serving):
    with admitted.start(node, serving, "kserve-container") as container:
        yield container


@pytest.fixture
def another(serving_site, store, node, serving, uri, tmp_path):  # noqa: PLR0917
    """A Pod of its own, admitted: one that a test may end."""
    pod = predictor(serving_site, tmp_path / "volumes", store)
    code, said, _ = pod.run(node, serving, "storage-initializer", uri)
    assert code == 0, said
    return pod


@pytest.fixture(scope="module")
def local(serving_site, tmp_path_factory):
    with ServerProcess(serving_site, tmp_path_factory.mktemp("local")) as process:
        yield process


def infer(rows):
    return {"inputs": [{"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}]}


def test_the_gate_lays_out_the_release_that_the_digest_names(admitted, serving_site):
    models = admitted.volume("kserve-provision-location")
    here = {path.relative_to(serving_site.model_dir): path.read_bytes() for path in serving_site.model_dir.rglob("*") if path.is_file()}
    assert {path.relative_to(models): path.read_bytes() for path in models.rglob("*") if path.is_file()} == here


def test_a_tampered_release_is_refused_with_its_reason_and_leaves_nothing(tampered, node, serving, uri):
    code, said, message = tampered.run(node, serving, "storage-initializer", uri)
    assert code == 1 and said.startswith("refused [") and message.startswith("refused [") and "Traceback" not in said
    assert list(tampered.volume("kserve-provision-location").iterdir()) == []


def test_it_answers_what_the_local_environment_answers(running, local, serving_site):
    import httpx2

    rows = serving_site.x[~np.isnan(serving_site.x).any(axis=1)][:50]
    status, body = running.ask("POST", "/v2/models/incident/infer", infer(rows))
    assert status == 200, body
    here = httpx2.post(f"{local.address}/v2/models/incident/infer", json=infer(rows)).json()
    assert json.loads(body)["outputs"] == here["outputs"]


def test_a_server_known_by_name_gets_the_local_answer_reasons_and_all(running, local, serving_site):
    import httpx2

    asked = {"servers": serving_site.servers, "explain": True}
    status, body = running.ask("POST", "/predict", asked)
    assert status == 200, body
    [there, here] = [json.loads(text)["predictions"] for text in (body, httpx2.post(f"{local.address}/predict", json=asked).text)]
    told = ("server", "time", "risk", "interval", "tier", "reasons", "model", "warming", "rung")
    assert [{key: one[key] for key in told} for one in there] == [{key: one[key] for key in told} for one in here]


def test_its_process_is_confined_as_the_manifest_says(running):
    code, said = running.python("print(open('/proc/1/status').read())")
    status = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert code == 0 and set(status["Uid"].split()) == set(status["Gid"].split()) == {"10001"}
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_it_can_write_to_its_mounts_and_nowhere_else(running, admitted):
    code = (
        "import os\n"
        "for folder, folders, _ in os.walk('/'):\n"
        "    folders[:] = [name for name in folders if os.path.join(folder, name) not in ('/proc', '/sys', '/dev')]\n"
        "    if os.access(folder, os.W_OK): print(folder)\n"
    )
    done, said = running.python(code)
    allowed = admitted.writable("kserve-container")
    outside = [folder for folder in said.splitlines() if not any(folder == path or folder.startswith(f"{path}/") for path in allowed)]
    assert done == 0 and outside == [] and allowed <= set(said.splitlines())
    for place in ("/tried", "/opt/presage/code/presage/tried.py", "/mnt/models/tried", "/etc/presage/trust/tried.pub"):
        done, said = running.python(f"open({place!r}, 'w')")
        assert done == 1 and ("Read-only file system" in said or "Permission denied" in said), place


def test_it_needs_no_shell(running):
    """The shells were taken from this very container before it started, and it answered."""
    assert [running.exec(shell, "-c", "true") != 0 for shell in ("sh", "bash")] == [True, True]
    assert running.ask("GET", "/v2/health/ready")[0] == 200


def test_sigterm_ends_it_within_its_grace_and_every_answer_is_in_the_prediction_log(another, node, serving, serving_site):
    with another.start(node, serving, "kserve-container") as container:
        status, body = container.ask("POST", "/predict", {"servers": serving_site.servers})
        assert status == 200, body
        code, seconds = container.stop(another.grace)
        assert code == 0 and seconds < another.grace, container.log
    answered = {one["prediction_id"] for one in json.loads(body)["predictions"]}
    logged = pl.read_parquet(another.volume("prediction-log") / "decisions/**/*.parquet", hive_partitioning=False)["prediction_id"].to_list()
    assert answered <= set(logged) and len(logged) == len(set(logged))


def test_the_same_image_is_the_stream(node, serving, tmp_path):
    pod = Pod.rendered("telemetry", tmp_path / "volumes", shadowed=SHELLS)
    with pod.start(node, serving, "telemetry") as container:
        assert list(pod.volume("online-store").glob("online.db")) and any(pod.volume("event-log").iterdir())
        code, seconds = container.stop(pod.grace)
    assert code == 0 and seconds < pod.grace


def test_the_same_image_is_the_job_that_deletes_what_is_due(node, serving, tmp_path):
    """Its store of predictions is the domain's; a registry of runs, whose library is not in here, is none of its business."""
    pod = Pod.rendered("retention", tmp_path / "volumes", shadowed=SHELLS, kind="CronJob")
    written = write_log(tmp_path, *([decision(day, server="server-0", time=NOON + day * DAY)] for day in range(3)))
    shutil.copytree(written, pod.volume("prediction-log"), dirs_exist_ok=True)
    for path in [pod.volume("prediction-log"), *pod.volume("prediction-log").rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)  # as if the job's user had written them
    code, said, _ = pod.run(node, serving, "retention")
    assert code == 0, said
    assert json.loads(said.splitlines()[-1])["deleted"] == 3 and not list(pod.volume("prediction-log").rglob("*.parquet"))
    assert len(list(AuditLog.open(pod.volume("audit") / "presage" / "audit").entries())) == 3
