"""What the path answers while something it calls, or somebody who calls it, misbehaves; and how soon it is itself again.

`make test-faults` prints the recovery times.
"""

import json
import socket
import threading
import time
from collections import Counter

import httpx2
import pytest
from builders.fault_proxy import FAULTS, FaultProxy
from builders.redis_server import RedisServer

from benchmarks.serving_process import ServerProcess
from presage.features.store import open_online_store
from presage.telemetry.clock import StreamClock

pytestmark = pytest.mark.slow
INFER = "/v2/models/incident/infer"
HEAD = f"POST {INFER} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: "


class Callers:
    """Threads that ask for one server's risk again and again. answers: (monotonic time, status, rung, because), as they come."""

    def __init__(self, address, server, threads=4):
        self.answers, self.failures, self._stop = [], [], threading.Event()
        body = {"inputs": [{"name": "server", "datatype": "BYTES", "shape": [1], "data": [server]}]}
        self._threads = [threading.Thread(target=self._ask, args=(address, body), daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, address, body):
        with httpx2.Client(base_url=address, timeout=10) as client:
            while not self._stop.is_set():
                try:
                    response = client.post(INFER, json=body)
                    said = response.json().get("parameters", {})
                    self.answers.append((time.monotonic(), response.status_code, said.get("rung"), said.get("because")))
                except httpx2.HTTPError as error:
                    self.failures.append(repr(error))

    def until(self, holds, since, seconds=30.0):
        """The first answer after `since` of which it holds; its time."""
        deadline = time.monotonic() + seconds
        seen = 0
        while time.monotonic() < deadline:
            for at, *answer in self.answers[seen:]:
                if at > since and holds(*answer):
                    return at
            seen = max(0, len(self.answers) - 1)
            time.sleep(0.005)
        raise AssertionError(f"no such answer within {seconds} s: {Counter(answer[1:] for answer in self.answers[-200:])}")


@pytest.fixture
def redis_site(serving_site, tmp_path):
    """A server whose online store is a Redis behind a proxy."""
    with RedisServer(tmp_path / "redis") as redis, FaultProxy(("127.0.0.1", redis.port)) as proxy:
        source, target = open_online_store(f"sqlite:{serving_site.online_store}", read_only=True), open_online_store(redis.url())
        about = source.describe("incident")
        rows = [row for row in source.read("incident", serving_site.servers) if row is not None]
        target.put_service("incident", about.bound, about.source, StreamClock(max(row.time for row in rows), time.time(), 1.0))
        target.write("incident", rows)
        source.close()
        target.close()
        store = f"redis://{proxy.address[0]}:{proxy.address[1]}/0"
        with ServerProcess(serving_site, tmp_path / "server", f"--online_store={store}", "--ship_seconds=600") as server:
            yield server, redis, proxy


@pytest.mark.parametrize("fault", FAULTS)
def test_the_ladder_answers_while_the_online_store_misbehaves_and_the_path_recovers(redis_site, serving_site, fault, capsys):
    server, _, proxy = redis_site
    with Callers(server.address, serving_site.servers[0]) as callers:
        callers.until(lambda status, rung, because: rung == "primary" and because == "asked first", 0.0)
        began = time.monotonic()
        proxy.fault = fault
        time.sleep(2.0)  # how long the fault lasts, nothing is waited for here
        proxy.fault = None
        mended = time.monotonic()
        fresh = callers.until(lambda status, rung, because: status == 200 and rung == "primary", mended)
        with httpx2.Client(base_url=server.address) as client:
            deadline = time.monotonic() + 30
            while client.post("/api/v2/predict", json={"servers": [serving_site.servers[0]]}).json()["predictions"][0]["doubts"]:
                assert time.monotonic() < deadline, "the store was never read again"
        whole = time.monotonic()
    during = [(status, rung) for at, status, rung, _ in callers.answers if began < at < mended]
    assert not callers.failures and {status for _, status, *_ in callers.answers} == {200}
    assert during and all(rung and because for _, _, rung, because in callers.answers)
    with capsys.disabled():
        rungs = Counter(rung for _, rung in during)
        print(f"\n  {fault}: {len(during)} answers in 2 s of it, {rungs}; a model again {fresh - mended:.2f} s after, fresh rows {whole - mended:.2f} s")


def test_a_redis_that_is_killed_and_started_again_costs_no_answer(redis_site, serving_site, capsys):
    server, redis, _ = redis_site
    with Callers(server.address, serving_site.servers[0]) as callers:
        callers.until(lambda status, rung, because: rung == "primary", 0.0)
        redis.kill()
        gone = time.monotonic()
        time.sleep(2.0)
        redis.start()  # empty: the feature refresh has not written yet
        callers.until(lambda status, rung, because: status == 200, time.monotonic())
    after = [answer for answer in callers.answers if answer[0] > gone]
    assert not callers.failures and len(after) > 50 and {status for _, status, *_ in callers.answers} == {200}
    with capsys.disabled():
        print(f"\n  redis killed: {len(after)} answers without it, {Counter(rung for _, _, rung, _ in after)}")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "refuse"])
def test_callers_on_a_bad_line_harm_nobody_else(serving_site, tmp_path, fault, capsys):
    body = json.dumps({"servers": [serving_site.servers[0]] * 50}).encode()
    request = HEAD.replace(INFER, "/predict").encode() + str(len(body)).encode() + b"\r\n\r\n" + body
    with ServerProcess(serving_site, tmp_path, "--patience_seconds=1") as server:
        host, port = server.address.removeprefix("http://").split(":")
        with FaultProxy((host, int(port)), seconds=0.02) as proxy, Callers(server.address, serving_site.servers[0]) as callers:
            proxy.fault = fault
            lines = []
            for _ in range(40):
                line = socket.create_connection(proxy.address, timeout=5)
                lines.append(line)
                try:
                    line.sendall(request)
                except OSError:
                    continue
                if fault == "latency":  # all arrive whole: a bad line, not 2000 rows in one moment, which are shed, whoever sent the last of them
                    time.sleep(0.01)
            began = time.monotonic()
            callers.until(lambda status, rung, because: status == 200, began + 2.5)  # longer than the server's patience
            for line in lines:
                line.close()
        others = [answer for answer in callers.answers if answer[0] > began]
        assert not callers.failures and {status for _, status, *_ in callers.answers} == {200} and len(others) > 50
        with httpx2.Client(base_url=server.address) as client:
            deadline = time.monotonic() + 10
            while "presage_inflight_requests 1.0" not in client.get("/metrics").text:  # this one alone
                assert time.monotonic() < deadline, "requests of broken lines are held"


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_steps_an_hour_harms_no_answer(serving_site, tmp_path, step):
    from inference.journal.record import Decision, Writer
    from inference.journal.segments import read_segment, segments
    from inference.journal.writer import Journal
    from inference.path.online import OnlineFeatures
    from inference.path.served import ready_release
    from inference.server.exchange import HttpRequest
    from inference.server.program import build_service
    from presage.package.keys import Trust
    from presage.package.release import verify_folder

    wall = time.time()
    journal = Journal.open(tmp_path / "journal", Writer("incident", "1", "sha256:0", "eu"))
    release = ready_release(verify_folder(serving_site.model_dir, Trust.open(serving_site.trust_keys)))
    service = build_service(release, journal, OnlineFeatures(f"sqlite:{serving_site.online_store}", "incident"), "incident", wall=lambda: wall)
    service.ready = True

    def ask():
        response = service.handle(HttpRequest("POST", "/predict", {}, json.dumps({"servers": serving_site.servers}).encode()))
        return response.status, json.loads(response.body)["predictions"]

    status, before = ask()
    wall += step
    stepped, after = ask()
    assert (status, stepped) == (200, 200)
    assert [(one["rung"], one["risk"]) for one in after] == [(one["rung"], one["risk"]) for one in before]
    assert all(one["features"]["age_seconds"] >= 0 for one in after)
    kept = [record for _, path in segments(tmp_path / "journal") for frame in read_segment(path)[1] for record in frame.records]
    assert len({record.prediction_id for record in kept if isinstance(record, Decision)}) == len(before) + len(after)
    journal.close()
