"""Overlay local-gpu: incident-sequence, run by Triton on its Pod's loopback, answered by the path beside it."""

import http.client
import json
import os
import signal

import pytest
from builders.mesh_plane import RunningPlane

pytestmark = pytest.mark.slow
BODY = json.dumps({"servers": ["app-01", "db-01"]}).encode()


class SequencePlane(RunningPlane):
    """Asked for incident-sequence."""

    @property
    def host(self):
        return "incident-sequence-models-network.presage.local"


@pytest.fixture(scope="module")
def plane(trained_state, tmp_path_factory):
    with SequencePlane.start(trained_state.root, tmp_path_factory.mktemp("gpu"), overlay="local-gpu") as running:
        yield running


def process(plane, container):
    return next(one for one in plane.record.processes if one.workload == "incident-sequence-predictor" and one.container == container)


def rungs(body):
    return {one["rung"] for one in json.loads(body)["predictions"]}


def path_itself(plane):
    """The path at the Pod's inner address, whether or not the Pod is in its Service."""
    connection = http.client.HTTPConnection(process(plane, "transformer-container").inner, 8080, timeout=10)
    connection.request("POST", "/predict", BODY, {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_operators_are_answered_by_the_convolution(plane):
    answer = plane.ask("/predict", "POST", BODY)
    assert answer.status == 200 and rungs(answer.body) == {"primary"}
    assert {one["model"]["name"] for one in json.loads(answer.body)["predictions"]} == {"incident-sequence"}
    assert plane.ask("/v2/models/incident-sequence/ready").status == 200


def test_nobody_else_and_nothing_else_gets_through(plane):
    assert plane.ask("/v2/models/incident/infer", "POST", BODY).status == 403
    assert plane.ask("/servers").status == 403
    assert plane.ask("/predict", "POST", BODY, account="status-page").status == 403


@pytest.mark.parametrize("port", [8000, 9000, 8002])
def test_triton_is_at_no_address_that_others_know(plane, port):
    triton = process(plane, "kserve-container")
    with pytest.raises(OSError):
        http.client.HTTPConnection(triton.address, port, timeout=5).request("GET", "/v2/health/live")


def test_its_counters_are_on_the_path_s_metrics(plane):
    def scraped():
        connection = http.client.HTTPConnection(process(plane, "transformer-container").inner, 9090, timeout=5)
        connection.request("GET", "/metrics")
        return b'nv_inference_request_success{model="incident-sequence"' in connection.getresponse().read()

    plane.eventually(scraped)


def test_triton_killed_the_path_goes_on_answering_and_comes_back_to_it(plane):
    os.kill(process(plane, "kserve-container").pid, signal.SIGKILL)
    seen = set()

    def back():
        status, body = path_itself(plane)
        assert status == 200
        seen.update(rungs(body))
        return "default" in seen and rungs(body) == {"primary"}

    plane.eventually(back)
    plane.eventually(lambda: plane.ask("/predict", "POST", BODY).status == 200)
