"""The client against real servers that are killed and come back, and against endpoints that misbehave by a script."""

import json
import os
import signal
import threading
from datetime import UTC, datetime

import msgspec
import pytest
from builders.ports import free_port
from builders.scripted_endpoint import ScriptedEndpoint

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER
from presage.client import Access, Client, ClientSettings, Prediction
from presage.client.answers import FeatureState, ModelName
from presage.client.client import Clocks
from presage.errors import InputError, PlaneError

NOWHERE = "http://127.0.0.1:9"


class Time:
    """A clock that only its owner moves. paused: what was slept."""

    def __init__(self):
        self.now, self.paused = 1000.0, []

    def sleep(self, seconds):
        self.paused.append(seconds)
        self.now += seconds

    def clocks(self):
        return Clocks(monotonic=lambda: self.now, wall=lambda: self.now, sleep=self.sleep, chance=lambda: 1.0, identity=lambda: "ab" * 8)


def prediction(server="web-01", **changes):
    whole = Prediction(
        server, datetime(2026, 11, 30, tzinfo=UTC), 0.3, (0.2, 0.4), "act", [], ModelName("incident", "1"), FeatureState("0f", 12.0, [1.0]),
        None, "primary", "p-0", "asked first", "primary", [], None,
    )  # fmt: skip
    return msgspec.structs.replace(whole, **changes)


RULES = {
    "model": {"name": "incident", "version": "1"}, "digest": "sha256:0",
    "contract": {"name": "incident", "version": "1.0.0", "entity": "server", "horizon": "1h", "feature_version": "0f"},
    "rules": [
        {"id": "disk", "feature": "disk.max_15m", "above": 0.95, "below": None, "risk": 0.6},
        {"id": "cpu", "feature": "cpu.mean_1h", "above": 0.97, "below": None, "risk": 0.4},
    ],
    "default": 0.05, "thresholds": {"watch": 0.05, "act": 0.25, "page": 0.6},
}  # fmt: skip


def healthy(method, path, headers, body):
    if path == "/api/v2/rules":
        return 200, json.dumps(RULES).encode(), {}
    asked = json.loads(body)
    names = asked.get("servers") or [None] * len(asked["rows"])
    return 200, msgspec.json.encode({"predictions": [prediction(name) for name in names]}), {}


def refusing(status, said="no", **headers):
    return lambda *_: (status, json.dumps({"error": said}).encode(), {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.long
def test_when_every_pod_is_gone_the_client_answers_and_when_they_are_back_they_do(serving_site, tmp_path):
    port, names = free_port(), serving_site.servers[:2]
    settings = ClientSettings(seconds=20.0, cooldown=0.0)
    with Client([f"http://127.0.0.1:{port}"], settings=settings, memory=tmp_path / "memory.json") as client:
        with ServerProcess(serving_site, tmp_path / "first", f"--http_port={port}") as server:
            before = client.predict(names, explain=True)
            assert {one.rung for one in before} == {"primary"} and all(one.because == "asked first" for one in before)
            server.stop(signal.SIGKILL)
        without = client.predict([*names, NEWCOMER], seconds=0.5)
        assert [one.rung for one in without] == ["client_last_answer", "client_last_answer", "client_default"]
        for was, now in zip(before, without, strict=False):
            assert (now.risk, now.tier, now.prediction_id, now.reasons) == (was.risk, was.tier, was.prediction_id, was.reasons)
            assert now.features.age_seconds >= was.features.age_seconds
            assert "no endpoint answered" in now.because and "last answer (primary)" in now.because and f"127.0.0.1:{port}" in now.because
        assert without[2].tier == "none" and without[2].interval == (0.0, 1.0) and without[2].prediction_id.startswith("client-")
        with ServerProcess(serving_site, tmp_path / "second", f"--http_port={port}"):
            assert {one.rung for one in client.predict([*names, NEWCOMER])} == {"primary"}


def test_another_process_goes_on_from_the_file(server, serving_site, tmp_path):
    memory = tmp_path / "memory.json"
    with Client([server.address], memory=memory) as client:
        [was] = client.predict(serving_site.servers[:1])
    assert memory.stat().st_mode & 0o777 == 0o600 and [path.name for path in tmp_path.iterdir()] == ["memory.json"]
    with Client([NOWHERE], memory=memory) as client:
        [now] = client.predict(serving_site.servers[:1], seconds=0.3)
        assert (now.rung, now.risk, now.prediction_id) == ("client_last_answer", was.risk, was.prediction_id)


def test_rules_answer_for_values_that_the_caller_has_and_the_default_for_none(tmp_path):
    with ScriptedEndpoint(healthy) as endpoint:
        with Client([endpoint.address], memory=tmp_path / "m.json") as client:
            client.predict(["web-01"])
        endpoint.script = refusing(503)
        with Client([endpoint.address], memory=tmp_path / "m.json") as client:
            known = {"new-01": {"disk.max_15m": 0.99, "cpu.mean_1h": 0.98}, "new-02": {"disk.max_15m": 0.5}}
            answers = client.predict(["new-01", "new-02", "new-03"], known=known, seconds=0.2)
            assert [(one.rung, one.risk, one.tier) for one in answers] == [
                ("client_rules", 0.6, "page"), ("client_default", 0.05, "none"), ("client_default", 0.05, "none"),
            ]  # fmt: skip
            assert [one.because.rsplit("; ", 1)[1] for one in answers] == ["rules disk, cpu", "no rule fired", "no values known"]
            [row] = client.predict(rows=[{"cpu.mean_1h": 0.99, "disk.max_15m": None}], seconds=0.2)
            assert (row.rung, row.risk, row.server) == ("client_rules", 0.4, None)
            assert len({one.prediction_id for one in answers}) == 3
        assert all("known" not in json.loads(body) for method, _, _, body in endpoint.asked if method == "POST")


def test_a_last_answer_is_given_only_while_it_is_young_enough(tmp_path):
    time = Time()
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address], clocks=time.clocks()) as client:
        client.predict(["web-01"])
        endpoint.script = refusing(503)
        time.now += 890
        [young] = client.predict(["web-01"])
        assert young.rung == "client_last_answer" and young.features.age_seconds == pytest.approx(12 + 890, abs=10)
        time.now += 30
        [old] = client.predict(["web-01"])
        assert old.rung == "client_default"


def test_a_clock_that_goes_back_makes_no_answer_younger_than_it_is():
    time = Time()
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address], clocks=time.clocks()) as client:
        client.predict(["web-01"])
        endpoint.script = refusing(503)
        time.now -= 3600
        [answer] = client.predict(["web-01"])
        assert answer.rung == "client_last_answer" and answer.features.age_seconds == 12.0


def test_where_nothing_is_known_and_where_the_last_rung_is_not_wanted_nothing_is_made_up():
    with Client([NOWHERE]) as client, pytest.raises(PlaneError, match="never heard of the release's rules"):
        client.predict(["web-01"], seconds=0.2)
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address], settings=ClientSettings(last_rung=False)) as client:
        client.predict(["web-01"])
        endpoint.script = refusing(503, "journal full")
        with pytest.raises(PlaneError, match="503: journal full"):
            client.predict(["web-01"], seconds=0.2)


@pytest.mark.parametrize(("status", "error"), [(400, InputError), (404, InputError), (422, InputError), (401, PlaneError), (403, PlaneError)])
def test_a_refusal_that_asking_again_would_not_change_is_raised_at_once(status, error):
    with ScriptedEndpoint(refusing(status, "because of this")) as endpoint, Client([endpoint.address]) as client:
        with pytest.raises(error, match="because of this"):
            client.predict(["web-01"])
        assert len(endpoint.asked) == 1


def test_an_answer_that_is_none_of_the_paths_is_no_answer():
    for content in (b"<html>", b"{}", b'{"predictions": []}', b"\xff", b"[" * 100_000):
        endpoint = ScriptedEndpoint(lambda *_, content=content: (200, content, {}))
        with endpoint, Client([endpoint.address]) as client, pytest.raises(PlaneError, match="its answer is none of this path"):
            client.predict(["web-01"], seconds=0.1)


def test_what_is_left_of_the_time_goes_along_and_retry_after_is_kept():
    time = Time()
    answers = [refusing(503, retry_after="2"), refusing(503, retry_after="2"), healthy]
    with ScriptedEndpoint(lambda *asked: answers.pop(0)(*asked)) as endpoint, Client([endpoint.address], clocks=time.clocks()) as client:
        answers.append(healthy)  # for the rules
        [answer] = client.predict(["web-01"], seconds=6.0)
        assert answer.rung == "primary" and time.paused == [2.0, 2.0]
        told = [int(headers["x-envoy-expected-rq-timeout-ms"]) for method, _, headers, _ in endpoint.asked if method == "POST"]
        assert told == [6000, 4000, 2000]


def test_a_retry_after_beyond_the_time_is_not_waited_for():
    time = Time()
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address], clocks=time.clocks()) as client:
        client.predict(["web-01"])
        endpoint.script = refusing(429, "slower", retry_after="60")
        [answer] = client.predict(["web-01"], seconds=5.0)
        assert answer.rung == "client_last_answer" and "429: slower" in answer.because and time.paused == []


def test_without_retry_after_pauses_grow_and_end_with_the_time():
    time = Time()
    settings = ClientSettings(first_pause=0.1, longest_pause=0.5)
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address], clocks=time.clocks(), settings=settings) as client:
        client.predict(["web-01"])
        endpoint.script = refusing(503)
        client.predict(["web-01"], seconds=1.5)
        assert time.paused == [0.1, 0.2, 0.4, 0.5] and sum(time.paused) < 1.5


@pytest.mark.long
def test_an_outage_is_met_with_a_tenth_more_requests_not_with_a_multiple():
    time = Time()
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address], clocks=time.clocks()) as client:
        client.predict(["web-01"])
        endpoint.script = refusing(503)
        before = len(endpoint.asked)
        for _ in range(100):
            client.predict(["web-01"])
        assert 100 < len(endpoint.asked) - before <= 100 + 10 + 10


def test_the_second_endpoint_is_asked_in_the_same_call_and_the_first_again_after_its_time():
    time = Time()
    first, second = ScriptedEndpoint(refusing(503)), ScriptedEndpoint(healthy)
    with first, second, Client([first.address, second.address], clocks=time.clocks()) as client:
        assert client.predict(["web-01"])[0].rung == "primary" and time.paused == []
        asked = len(first.asked)
        client.predict(["web-01"])
        assert len(first.asked) == asked  # cooling down
        time.now += 1.5
        first.script = healthy
        client.predict(["web-01"])
        assert len(first.asked) > asked


def test_an_endpoint_that_hangs_leaves_time_for_the_other():
    with ScriptedEndpoint(lambda *_: None) as hanging, ScriptedEndpoint(healthy) as other, Client([hanging.address, other.address]) as client:
        assert client.predict(["web-01"], seconds=2.0)[0].rung == "primary"
        assert int(hanging.asked[0][2]["x-envoy-expected-rq-timeout-ms"]) <= 1000


def test_what_was_asked_in_pieces_comes_back_in_order():
    names = [f"web-{number:05d}" for number in range(300)]
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address]) as client:
        assert [one.server for one in client.predict(names, explain=True)] == names
        assert [len(json.loads(body)["servers"]) for method, _, _, body in endpoint.asked if method == "POST"] == [256, 44]


def test_rules_are_asked_for_once_a_release_and_not_with_every_call():
    time = Time()
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address], clocks=time.clocks()) as client:
        for _ in range(5):
            client.predict(["web-01"])
        assert [path for method, path, _, _ in endpoint.asked if method == "GET"] == ["/api/v2/rules"]


def test_only_the_newest_servers_are_kept():
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address], settings=ClientSettings(servers_kept=2)) as client:
        client.predict(["a", "b", "c"])
        endpoint.script = refusing(503)
        assert [one.rung for one in client.predict(["a", "b", "c"], seconds=0.1)] == ["client_default", "client_last_answer", "client_last_answer"]


def spoil(path):
    path.write_bytes(path.read_bytes()[:-10])


def open_to_others(path):
    path.chmod(0o620)


def behind_a_link(path):
    path.rename(path.with_name("real.json"))
    path.symlink_to("real.json")


def a_pipe(path):
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize("change", [spoil, open_to_others, behind_a_link, a_pipe])
def test_a_memory_that_is_not_to_be_trusted_is_not_read(tmp_path, change):
    memory = tmp_path / "memory.json"
    with ScriptedEndpoint(healthy) as endpoint:
        with Client([endpoint.address], memory=memory) as client:
            client.predict(["web-01"])
        change(memory)
        with Client([NOWHERE], memory=memory) as client, pytest.raises(PlaneError, match="never heard"):
            client.predict(["web-01"], seconds=0.1)


def test_a_memory_that_cannot_be_written_costs_no_answer(tmp_path):
    (tmp_path / "file").write_text("")
    with ScriptedEndpoint(healthy) as endpoint, Client([endpoint.address], memory=tmp_path / "file" / "memory.json") as client:
        assert client.predict(["web-01"])[0].rung == "primary"


def test_threads_share_a_client(server, serving_site):
    with Client([server.address]) as client:
        answers, names = [], serving_site.servers[:4]
        threads = [threading.Thread(target=lambda: answers.extend(client.predict(names))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(one.server for one in answers) == sorted(names * 8)


def test_mutual_tls_and_a_token_are_shown(server, serving_site, tmp_path):
    from builders.tls_front import TlsFront

    with TlsFront(server.address, tmp_path) as front:
        whole = Access(front.address, certificate=str(front.certificate), key=str(front.key), ca=str(front.ca))
        with Client([whole]) as client:
            assert client.predict(serving_site.servers[:1])[0].rung == "primary"
        for without in (msgspec.structs.replace(whole, certificate=None, key=None), Access(front.address)):
            with Client([without]) as client, pytest.raises(PlaneError):
                client.predict(serving_site.servers[:1], seconds=0.3)
    with pytest.raises(InputError, match="No such file"):
        Client([msgspec.structs.replace(whole, token="absent")])


def test_a_call_that_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="Name one at least"):
        Client([])
    with Client([NOWHERE]) as client:
        for wrong in ({}, {"servers": ["a"], "rows": [{}]}):
            with pytest.raises(InputError, match="one of the two"):
                client.predict(**wrong)
