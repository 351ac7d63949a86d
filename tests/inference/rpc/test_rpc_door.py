"""The gRPC door as part of the server: the same answers as over HTTP, the same clients, deadlines that are kept, an end that loses nothing."""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
from math import inf

import grpc
import httpx2
import numpy as np
import psutil
import pytest
from builders.rpc_calls import Refused, call, infer, infer_request, outputs_of

from benchmarks.rpc_load import DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, SETTINGS, frame, literal
from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER
from inference.clients.certificates import HEADER
from inference.journal.levels import open_journal
from inference.journal.record import Decision, Writer
from inference.journal.segments import read_segment, segments
from inference.path.online import OnlineFeatures
from inference.path.served import ready_release
from inference.server.program import build_service
from inference.server.rpc.calls import INFER
from inference.server.rpc.door import RpcLimits, serve_rpc
from inference.server.rpc.protocol import HEALTH, MESSAGES
from presage.local.authority import Authority
from presage.package.keys import Trust
from presage.package.release import verify_folder

OPERATORS = "spiffe://cluster.local/ns/clients/sa/operators"
TRACE = "0af7651916cd43dd8448eb211c80319c"
ENHANCE_YOUR_CALM = 11


def over_http(server, **body):
    answer = httpx2.post(server.address + "/v2/models/incident/infer", json=body)
    assert answer.status_code == 200, answer.text
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


def decisions(folder):
    frames = (frame for _, path in segments(folder) for frame in read_segment(path)[1])
    return [record for frame in frames for record in frame.records if isinstance(record, Decision)]


def counted(server, name, **labels):
    lines = httpx2.get(server.address + "/metrics").text.splitlines()
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{") and all(label in line for label in wanted))


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_rows_get_what_http_answers_in_the_form_in_which_they_came(rpc_server, channel, rows, risk, raw):
    answer, _ = call(channel, "ModelInfer", infer_request(rows, raw=raw, outputs=["risk", "interval", "tier", "reasons"], id="seven"))
    assert bool(answer.raw_output_contents) == raw and answer.id == "seven"
    assert all(output.HasField("contents") != raw for output in answer.outputs)
    got = outputs_of(answer)
    inputs = [{"name": "x", "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}]
    http = over_http(rpc_server, inputs=inputs, outputs=[{"name": name} for name in got])
    assert got["risk"].tolist() == risk and got["risk"] == pytest.approx(http["risk"])
    assert got["interval"].ravel() == pytest.approx(http["interval"]) and got["interval"].shape == (3, 2)
    assert got["tier"] == http["tier"] and [json.loads(text) for text in got["reasons"]] == [json.loads(text) for text in http["reasons"]]


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_named_servers_get_what_http_answers(rpc_server, channel, serving_site, raw):
    names = [NEWCOMER, *serving_site.servers]
    http = over_http(rpc_server, inputs=[{"name": "server", "datatype": "BYTES", "shape": [len(names)], "data": names}])
    assert infer(channel, infer_request(servers=names, raw=raw))["risk"] == pytest.approx(http["risk"])


def test_an_answer_names_the_prediction_the_rung_and_the_time_it_took(channel, rows):
    answer, trailing = call(channel, "ModelInfer", infer_request(rows[:1]))
    said = {name: parameter.string_param for name, parameter in answer.parameters.items()}
    assert said["rung"] == "primary" and said["used"] == "primary" and said["because"] == "asked first" and answer.id == said["prediction_id"]
    name, _, milliseconds = trailing["server-timing"].partition(";dur=")
    assert name == "presage" and 0 < float(milliseconds) < 20_000


def test_metadata_and_health_say_what_http_says(rpc_server, channel):
    about = httpx2.get(rpc_server.address + "/v2/models/incident").json()
    metadata, _ = call(channel, "ModelMetadata", MESSAGES["ModelMetadataRequest"](name="incident"))
    for side in ("inputs", "outputs"):
        assert [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in getattr(metadata, side)] == about[side]
    server, _ = call(channel, "ServerMetadata", b"")
    assert {"name": server.name, "version": server.version, "extensions": list(server.extensions)} == httpx2.get(rpc_server.address + "/v2").json()
    for service in ("", "inference.GRPCInferenceService"):
        asked = MESSAGES["HealthCheckRequest"](service=service)
        assert call(channel, "Check", asked, service=HEALTH, response="HealthCheckResponse")[0].status == 1
    with pytest.raises(Refused) as refused:
        call(channel, "Check", MESSAGES["HealthCheckRequest"](service="other"), service=HEALTH)
    assert refused.value.code is grpc.StatusCode.NOT_FOUND


def test_calls_are_counted_beside_those_of_http_and_by_the_same_codes(rpc_server, channel, rows):
    def numbers():
        answered = counted(rpc_server, "presage_requests_total", endpoint="grpc", code="200", rung="primary")
        refused = counted(rpc_server, "presage_requests_total", endpoint="grpc", code="400")
        return answered, refused, counted(rpc_server, "presage_request_seconds_count", endpoint="grpc"), counted(rpc_server, "presage_inflight_requests")

    before = numbers()
    infer(channel, infer_request(rows))
    with pytest.raises(Refused):
        infer(channel, infer_request())
    after = numbers()
    assert [late - early for early, late in zip(before, after, strict=True)] == [1, 1, 2, 0]


def test_the_journal_keeps_door_request_trace_and_context(serving_site, tmp_path, rows):
    with ServerProcess(serving_site, tmp_path, "--grpc_port=0", "--ship_seconds=3600") as server, grpc.insecure_channel(server.rpc_address) as opened:
        message = infer_request(rows[:1], parameters={"domain": "network", "timeout": 5_000_000}, id="seven")
        answer, _ = call(opened, "ModelInfer", message, metadata=(("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),))
        [decision] = decisions(server.journal)
    assert (decision.endpoint, decision.caller_id, decision.trace_id, decision.context) == ("grpc", "seven", TRACE, {"domain": "network"})
    assert decision.prediction_id == answer.parameters["prediction_id"].string_param + "-0"
    assert decision.x == rows[:1].astype("<f4").tobytes()


@pytest.mark.parametrize("how", ["parameter", "metadata"])
def test_an_answer_that_would_come_too_late_is_not_given(channel, rows, how):
    message = infer_request(rows, parameters={"timeout": 0} if how == "parameter" else {})
    metadata = (("x-envoy-expected-rq-timeout-ms", "0"),) if how == "metadata" else ()
    with pytest.raises(Refused, match="after the deadline") as refused:
        infer(channel, message, metadata=metadata)
    assert refused.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_grpcs_own_deadline_is_the_requests(serving_site, tmp_path, rows):
    """The door in this process, so that the queue can be watched: what it is given, it is given in time."""
    release = ready_release(verify_folder(serving_site.model_dir, Trust.open(serving_site.trust_keys)))
    journal = open_journal("process", tmp_path / "journal", Writer(release.name, release.version, release.digest, release.region))
    service = build_service(release, journal, OnlineFeatures(None, "incident"), "incident")
    service.ready, left = True, []

    async def ask():
        service.queue.soon = asyncio.get_running_loop().call_soon
        submit = service.queue.submit

        def watched(asked, done):
            left.append(asked.deadline - service.clock())
            submit(asked, done)

        service.queue.submit = watched
        rpc = await serve_rpc("127.0.0.1", 0, service, RpcLimits())
        async with grpc.aio.insecure_channel(rpc.address) as opened:
            method = opened.unary_unary(INFER)
            for seconds in (30, None):
                await method(infer_request(rows).SerializeToString(), timeout=seconds)
        await rpc.stop(1)

    asyncio.run(ask())
    journal.close()
    assert 25 < left[0] <= 30.1 and left[1] == inf


def test_a_client_is_told_apart_limited_and_told_when_to_ask_again(serving_site, tmp_path, rows):
    limits = {
        "schema": "presage.client-limits/v1",
        "clients": {OPERATORS: {"requests_per_minute": 1, "burst": 2}},
        "default": {"requests_per_minute": 1, "burst": 1},
    }
    file = tmp_path / "limits.json"
    file.write_text(json.dumps(limits))
    flags = ("--grpc_port=0", "--client_identity=xfcc", f"--client_limits={file}", "--ship_seconds=3600")
    with ServerProcess(serving_site, tmp_path, *flags) as server, grpc.insecure_channel(server.rpc_address) as opened:
        operators = ((HEADER.decode(), f"By=spiffe://a/ns/b/sa/c;URI={OPERATORS}"),)
        for _ in range(2):
            infer(opened, infer_request(rows), metadata=operators)
        with pytest.raises(Refused, match="as often as it may") as refused:
            infer(opened, infer_request(rows), metadata=operators)
        assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(refused.value.hints["grpc-retry-pushback-ms"]) == 1000 * int(refused.value.hints["retry-after"]) > 0
        over_http = httpx2.get(server.address + "/v2/models", headers={HEADER.decode(): operators[0][1]})
        assert over_http.status_code == 429  # one bucket, whichever door
        with pytest.raises(Refused, match="client-cert") as refused:
            infer(opened, infer_request(rows), metadata=((HEADER.decode(), "nonsense"),))
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
        for _ in range(5):  # a kubelet has no certificate, and is not counted
            assert call(opened, "ServerLive", b"")[0].live
            assert call(opened, "Check", b"", service=HEALTH, response="HealthCheckResponse")[0].status == 1
        assert {decision.caller for decision in decisions(server.journal)} == {OPERATORS}


class Wire:
    """A connection of bare HTTP/2 frames."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.buffer = b""
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, struct.pack(">HI", 1, 0)))

    def send(self, content):
        self.socket.sendall(content)

    def call(self, stream):
        """The head of a ModelInfer call, without its message."""
        fields = {":method": "POST", ":scheme": "http", ":path": "/inference.GRPCInferenceService/ModelInfer", ":authority": "a", "te": "trailers"}
        block = b"".join(literal(name.encode(), value.encode()) for name, value in {**fields, "content-type": "application/grpc"}.items())
        self.send(frame(HEADERS, END_HEADERS, stream, block))

    def frames(self):
        """(kind, flags, stream, payload), until the server closes."""
        while True:
            while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
                if not (more := self.socket.recv(65536)):
                    return
                self.buffer += more
            length = int.from_bytes(self.buffer[:3], "big")
            yield self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big"), self.buffer[9 : 9 + length]
            self.buffer = self.buffer[9 + length :]

    def first(self, wanted, flag=0):
        return next(payload for kind, flags, _, payload in self.frames() if kind == wanted and flags & flag == flag)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def test_a_message_that_is_never_whole_ends_with_the_servers_patience(rpc_server):
    with Wire(rpc_server.rpc_address) as wire:
        wire.call(1)
        wire.send(frame(DATA, 0, 1, b"\0" + (400).to_bytes(4, "big") + b"half of it"))
        trailers = wire.first(HEADERS, END_STREAM)
    assert b"grpc-status\x014" in trailers and b"was not whole after 1 s" in trailers


def test_a_connection_has_at_most_a_hundred_calls_at_once(rpc_server):
    with Wire(rpc_server.rpc_address) as wire:
        settings = wire.first(SETTINGS)
    assert dict(struct.iter_unpack(">HI", settings))[3] == 100


def test_a_client_that_pings_without_end_is_sent_away(rpc_server):
    with Wire(rpc_server.rpc_address) as wire:
        wire.send(b"".join(frame(PING, 0, 0, number.to_bytes(8, "big")) for number in range(20)))
        goaway = wire.first(GOAWAY)
    assert int.from_bytes(goaway[4:8], "big") == ENHANCE_YOUR_CALM and b"too_many_pings" in goaway


def test_a_caller_who_hangs_up_is_answered_in_the_journal_and_disturbs_nobody(serving_site, tmp_path, rows, risk):
    with ServerProcess(serving_site, tmp_path, "--grpc_port=0", "--ship_seconds=3600") as server:
        content = infer_request(rows).SerializeToString()
        for _ in range(20):
            with Wire(server.rpc_address) as wire:
                wire.call(1)
                wire.send(frame(DATA, 1, 1, struct.pack(">BI", 0, len(content)) + content))
        with grpc.insecure_channel(server.rpc_address) as opened:
            assert infer(opened, infer_request(rows))["risk"].tolist() == risk
        assert counted(server, "presage_inflight_requests") == 0
    assert server.process.returncode == 0 and not [line for line in server.log if '"level": "error"' in line or "Traceback" in line]


def test_when_the_server_stops_every_call_was_answered_or_told_so(serving_site, tmp_path, rows):
    answered, refused = [], []
    with ServerProcess(serving_site, tmp_path, "--grpc_port=0", "--ship_seconds=0.2") as server, grpc.insecure_channel(server.rpc_address) as opened:
        many, stop = threading.Event(), threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    answered.append(call(opened, "ModelInfer", infer_request(rows[:1]), timeout=30)[0].id)
                except Refused as error:
                    refused.append(error.code)
                    return
                if len(answered) > 200:
                    many.set()

        askers = [threading.Thread(target=ask) for _ in range(8)]
        for asker in askers:
            asker.start()
        assert many.wait(60)
        code = server.stop()
        stop.set()
        for asker in askers:
            asker.join(60)
    assert code == 0 and set(refused) == {grpc.StatusCode.UNAVAILABLE}
    assert len(set(answered)) == len(answered)


def test_a_port_that_is_taken_is_an_error_and_not_shared(serving_site, tmp_path, rpc_server):
    port = rpc_server.rpc_address.rpartition(":")[2]
    second = ServerProcess(serving_site, tmp_path, f"--grpc_port={port}")
    assert second.wait() == 1
    assert any(f"127.0.0.1:{port} is taken by another program" in line and "--grpc_port" in line for line in second.log)


def test_with_a_certificate_the_door_speaks_tls_and_takes_the_next_certificate(serving_site, tmp_path, rows):
    def take(authority):
        made = authority.issue(["server.example"])
        for name, key in (("tls.crt", "tls.crt"), ("tls.key", "tls.key")):
            (tmp_path / f"new-{name}").write_bytes(made[key])
            (tmp_path / f"new-{name}").rename(tmp_path / name)

    def asked(address, authority):
        named = [("grpc.ssl_target_name_override", "server.example")]
        with grpc.secure_channel(address, grpc.ssl_channel_credentials(authority.certificate), options=named) as opened:
            return call(opened, "ServerReady", b"", timeout=10)[0].ready

    first, second = Authority.open(tmp_path / "first"), Authority.open(tmp_path / "second")
    take(first)
    with ServerProcess(serving_site, tmp_path, "--grpc_port=0", f"--tls_certificate={tmp_path / 'tls.crt'}", f"--tls_key={tmp_path / 'tls.key'}") as server:
        assert asked(server.rpc_address, first)
        with grpc.insecure_channel(server.rpc_address) as plain, pytest.raises(Refused):
            call(plain, "ServerReady", b"", timeout=5)
        take(second)
        assert asked(server.rpc_address, second)
        with pytest.raises(Refused):
            asked(server.rpc_address, first)


def test_without_the_flag_nothing_of_grpc_is_loaded(serving_site, tmp_path):
    for flags in ((), ("--grpc_port=0", "--enable_grpc=false")):
        with ServerProcess(serving_site, tmp_path, *flags) as server:
            assert server.rpc_address == "" and not [mapped for mapped in psutil.Process(server.process.pid).memory_maps() if "cygrpc" in mapped.path]


def test_the_server_stays_below_150_mib_and_imports_no_training_library(rpc_server, channel, rows):
    for _ in range(50):
        infer(channel, infer_request(np.repeat(rows, 200, axis=0)))
    assert psutil.Process(rpc_server.process.pid).memory_info().rss < 150 << 20
    heavy = ("sklearn", "lightgbm", "torch", "shap", "pandas", "mlflow", "feast", "kfp", "kserve", "tritonclient")
    program = f"import sys, inference.server.rpc.door, inference.server.program; print(sorted(set({heavy!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60).stdout == "[]\n"
