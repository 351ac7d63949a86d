"""The path with a Triton beside it, both as processes: one Pod of the GPU family."""

import signal
import subprocess
import sys
import threading
import time

import httpx2
import numpy as np
import onnxruntime
import pytest
from builders.triton import TritonProcess, convolution, sequence_site
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.serving_process import ServerProcess


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return sequence_site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def triton(site, tmp_path):
    with TritonProcess(site.model_dir / "triton", tmp_path) as running:
        yield running


def server_beside(site, triton, folder, *flags):
    return ServerProcess(site, folder / "server", f"--triton={triton.grpc}", f"--triton_metrics={triton.metrics}", "--ship_seconds=60", *flags)


@pytest.fixture
def server(site, triton, tmp_path):
    with server_beside(site, triton, tmp_path) as running:
        yield running


def predicted(client, site):
    answer = client.post("/predict", json={"servers": site.servers})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def until(client, site, holds, seconds=30):
    end = time.monotonic() + seconds
    seen = predicted(client, site)
    while not all(holds(one) for one in seen):
        assert time.monotonic() < end, seen
        time.sleep(0.02)
        seen = predicted(client, site)


def test_a_server_is_answered_from_its_history_by_the_convolution(server, site):
    scores = onnxruntime.InferenceSession(convolution(), providers=["CPUExecutionProvider"]).run(["score"], {"x": site.x})[0]
    risks, low, high = site.calibration.apply(scores)
    with httpx2.Client(base_url=server.address) as client:
        seen = predicted(client, site)
        x = {"name": "x", "shape": list(site.x.shape), "datatype": "FP32", "data": site.x.ravel().tolist()}
        given = client.post("/v2/models/incident-sequence/infer", json={"inputs": [x]}).json()
    assert [one["risk"] for one in seen] == pytest.approx(list(risks), abs=1e-6)
    assert np.array([one["interval"] for one in seen]) == pytest.approx(np.stack([low, high], axis=1), abs=1e-6)
    assert {one["rung"] for one in seen} == {"primary"}
    assert next(output["data"] for output in given["outputs"] if output["name"] == "risk") == pytest.approx(list(risks), abs=1e-6)


def test_triton_s_counters_are_on_the_path_s_metrics(server, site):
    with httpx2.Client(base_url=server.address) as client:
        end = time.monotonic() + 20
        while "nv_inference_request_success" not in (text := client.get("/metrics").text):
            assert time.monotonic() < end
            time.sleep(0.05)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {sample.labels["model"] for sample in families["nv_inference_request_success"].samples} == {"incident-sequence"}


@pytest.mark.long
def test_the_path_is_ready_only_when_triton_s_models_are(site, tmp_path):
    triton = TritonProcess(site.model_dir / "triton", tmp_path)
    server = server_beside(site, triton, tmp_path)
    try:
        end = time.monotonic() + 60
        while not any("waiting for Triton" in line for line in server.log):
            assert time.monotonic() < end and server.process.poll() is None, server.log
            time.sleep(0.02)
        assert not any('"ready"' in line for line in server.log)
        with triton:
            server.wait_ready()
            with httpx2.Client(base_url=server.address) as client:
                assert {one["rung"] for one in predicted(client, site)} == {"primary"}
    finally:
        server.stop(signal.SIGKILL)


def test_killed_under_load_the_ladder_answers_and_back_again_it_is_asked(server, triton, site):
    """Not one request without an answer, and none later than the model may be."""
    failures, seen, stop = [], [], threading.Event()

    def load():
        with httpx2.Client(base_url=server.address, timeout=10) as client:
            while not stop.is_set():
                before = time.monotonic()
                answer = client.post("/predict", json={"servers": site.servers})
                if answer.status_code != 200:
                    failures.append((answer.status_code, answer.text))
                else:
                    seen.extend((one["rung"], time.monotonic() - before) for one in answer.json()["predictions"])

    callers = [threading.Thread(target=load) for _ in range(4)]
    for caller in callers:
        caller.start()
    with httpx2.Client(base_url=server.address) as client:
        until(client, site, lambda one: one["rung"] == "primary")
        triton.kill()
        until(client, site, lambda one: one["rung"] == "default")
        triton.start()
        until(client, site, lambda one: one["rung"] == "primary")
    stop.set()
    for caller in callers:
        caller.join(20)
    assert failures == []
    assert {rung for rung, _ in seen} == {"primary", "default"}
    assert max(seconds for _, seconds in seen) < 5


def test_a_triton_that_hangs_costs_its_callers_no_answer(server, triton, site):
    with httpx2.Client(base_url=server.address, timeout=10) as client:
        triton.hang()
        until(client, site, lambda one: one["rung"] == "default")
        triton.process.send_signal(signal.SIGCONT)
        until(client, site, lambda one: one["rung"] == "primary")


def test_neither_of_the_two_grpc_packages_is_in_the_servers_process():
    script = "import sys, inference.server.program, inference.triton.beside; print(*sorted(sys.modules))"
    imported = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert "grpc" in imported and not {"tritonclient", "kserve"} & set(imported)
