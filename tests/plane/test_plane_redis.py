"""The plane with a Redis: features and limits go through it, by the mesh's leave, and the predictors outlive it."""

import http.client
import json
import os
import shutil
import signal

import pytest
from builders.mesh_plane import PREDICT
from builders.redis_overlay import with_redis
from builders.redis_server import require_redis

from presage.local import apply

METHOD, PATH, BODY = PREDICT


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stored(plane, tmp_path_factory):
    """The plane, moved to a Redis while it runs, and back again."""
    require_redis()
    overlays, kept = plane.manifests / "overlays", tmp_path_factory.mktemp("kept") / "overlays"
    shutil.copytree(overlays, kept)
    with_redis(plane.manifests)
    apply(state=plane.state, manifests=plane.manifests)
    yield plane
    shutil.rmtree(overlays)
    shutil.copytree(kept, overlays)
    apply(state=plane.state, manifests=plane.manifests)


def metrics(plane):
    process = next(process for process in plane.record.processes if process.serves)
    connection = http.client.HTTPConnection(process.address, process.ports["metrics"], timeout=5)
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


def rung(plane):
    answer = plane.ask(PATH, METHOD, BODY)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["predictions"][0]["rung"]


def test_predictions_come_from_rows_in_redis_and_limits_are_counted_there(stored):
    plane = stored
    plane.eventually(lambda: rung(plane) == "primary")
    assert next(process for process in plane.record.processes if process.container == "redis").ready
    plane.eventually(lambda: "presage_limits_shared 1" in metrics(plane))


def test_a_redis_that_dies_costs_no_answer_and_comes_back_with_its_rows(stored):
    plane = stored
    plane.eventually(lambda: rung(plane) == "primary" and "presage_limits_shared 1" in metrics(plane))
    process = next(process for process in plane.record.processes if process.container == "redis")
    os.kill(process.pid, signal.SIGKILL)
    plane.eventually(lambda: rung(plane) and "presage_limits_shared 0" in metrics(plane), seconds=20)
    plane.eventually(lambda: rung(plane) == "primary" and "presage_limits_shared 1" in metrics(plane))
