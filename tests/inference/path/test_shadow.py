"""A shadow sees what the present release is asked, answers nobody, and can hold nothing up: two real servers."""

import asyncio
import time

import httpx2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER
from inference.journal.record import Decision
from inference.journal.segments import read_segment, segments
from inference.metrics.catalogue import ServingMetrics
from inference.path.request import PathRequest
from inference.path.shadow import Shadow, ShadowSettings


def counted(client, name, **labels):
    return sum(
        found.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for found in family.samples
        if found.name == name and labels.items() <= found.labels.items()
    )


def until(holds, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def decisions(folder):
    return [record for _, path in segments(folder) for frame in read_segment(path)[1] for record in frame.records if isinstance(record, Decision)]


@pytest.fixture
def pair(serving_site, tmp_path):
    """A server, its shadow, and their journals; nothing is shipped, so that the journals can be read."""
    slow = "--ship_seconds=600"
    with ServerProcess(serving_site, tmp_path / "shadow", "--is_shadow", slow) as shadow:
        url = f"{shadow.address}/v2/models/incident/infer"
        with ServerProcess(serving_site, tmp_path / "present", f"--shadow_url={url}", slow) as present:
            yield present, shadow


def test_the_shadow_records_what_it_would_have_said_and_the_difference_is_counted(pair, serving_site):
    present, shadow = pair
    with httpx2.Client(base_url=present.address) as client:
        answers = client.post("/predict", json={"servers": [*serving_site.servers, NEWCOMER]}).json()["predictions"]
        width = len(serving_site.contract.inputs)
        x = np.full((2, width), 0.5, np.float32)
        tensor = {"name": "x", "datatype": "FP32", "shape": [2, width], "data": x.tolist()}
        client.post("/v2/models/incident/infer", json={"inputs": [tensor]}).raise_for_status()
        until(lambda: counted(client, "presage_shadow_total", outcome="answered") == 2)
        assert counted(client, "presage_shadow_difference_count") == len(answers) + 2
        assert counted(client, "presage_shadow_difference_bucket", le="0.001") == len(answers) + 2  # the same release says the same
    marked = decisions(shadow.journal)
    assert {record.shadow_of for record in marked} >= {answer["prediction_id"] for answer in answers} and all(record.shadow_of for record in marked)
    assert all(record.shadow_of == "" for record in decisions(present.journal))


def test_without_its_shadow_a_server_answers_as_before_and_leaves_it_alone(pair, serving_site):
    present, shadow = pair
    shadow.process.kill()
    with httpx2.Client(base_url=present.address) as client:
        for _ in range(20):
            assert client.post("/predict", json={"servers": serving_site.servers[:1]}).status_code == 200
        until(lambda: counted(client, "presage_shadow_total", outcome="failed") >= 1)
        client.post("/predict", json={"servers": serving_site.servers[:1]})
        assert counted(client, "presage_shadow_total", outcome="dropped") >= 1


def test_a_share_of_requests_is_chosen_by_their_ids_and_a_full_queue_lets_go():
    metrics = ServingMetrics("m", "1", "v", {}, lambda: 0)

    async def offer(share, waiting):
        shadow = Shadow(ShadowSettings("http://127.0.0.1:9", share, waiting), metrics, time.monotonic)
        for number in range(2000):
            request = PathRequest(servers=["a"], prediction_id=f"{number:016x}")
            request.time, request.risk = [1.0], [0.5]
            shadow.offer(request)
        return shadow._waiting.qsize()

    assert 150 < asyncio.run(offer(0.1, 5000)) < 250
    assert asyncio.run(offer(1.0, 64)) == 64 and metrics.shadow.values[("m", "dropped")] == 2000 - 64
