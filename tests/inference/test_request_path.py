"""The path's steps, asked in process: no socket, the same release, store and journal as the server's."""

import copy
import json
import time
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from benchmarks.serving_release import NEWCOMER
from inference.journal.record import Decision, Snapshot, Writer
from inference.journal.segments import read_segment, segments
from inference.journal.writer import Journal
from inference.path.breaker import Breaker, BreakerSettings
from inference.path.ladder import rule_rungs
from inference.path.model import load_model
from inference.path.online import OnlineFeatures
from inference.path.request import PathRequest
from inference.path.served import ready_release
from inference.server.exchange import HttpRequest
from inference.server.program import build_service
from presage.errors import ArtifactRefused
from presage.features.store import OnlineRow, open_online_store
from presage.package.contract import InputField
from presage.package.keys import Trust
from presage.package.release import Rule, verify_folder
from presage.telemetry.clock import StreamClock


@pytest.fixture(scope="module")
def release(serving_site):
    return ready_release(verify_folder(serving_site.model_dir, Trust.open(serving_site.trust_keys)))


@pytest.fixture
def serve(serving_site, tmp_path):
    """A ready service over a release; its journal's records on request."""
    opened = []

    def build(release, store=serving_site.online_store):
        journal = Journal.open(tmp_path / f"journal-{len(opened)}", Writer("incident", "1", "sha256:0", "eu"))
        online = OnlineFeatures(f"sqlite:{store}", "incident")
        opened.extend([journal, online])
        service = build_service(release, journal, online, "incident")
        service.ready = True
        return service

    yield build
    for part in opened:
        part.close()


def predict(service, **document):
    response = service.handle(HttpRequest("POST", "/predict", {}, json.dumps(document).encode()))
    return response.status, json.loads(response.body)


def one(service, **document):
    status, answer = predict(service, **document)
    assert status == 200, answer
    return answer["predictions"][0]


@pytest.fixture
def failing(release):
    """A rung whose model the runtime really refuses: its file reads another width."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["score"], axes=[1], keepdims=0)], "narrow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])], [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None])],
    )  # fmt: skip
    narrow = load_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9).SerializeToString())
    return lambda release, *ids: with_scores(release, **dict.fromkeys(ids, narrow))


def with_scores(release, **scores):
    """The same release with other models in these members, each with a breaker of its own."""
    members = {id: copy.copy(member) for id, member in release.members.items()}
    for id, score in scores.items():
        members[id].score = score
    for member in members.values():
        member.breaker = Breaker(BreakerSettings(), time.perf_counter)
    return replace(release, members=members)


def test_the_simpler_model_answers_where_the_primary_fails_and_says_so(serve, release, failing, serving_site):
    broken = failing(release, "primary")
    answer = one(serve(broken), servers=[serving_site.servers[0]], explain=True)
    alone = replace(release, rungs=["simpler"])
    whole = one(serve(alone), servers=[serving_site.servers[0]])
    assert answer["rung"] == whole["rung"] == "simpler" and answer["risk"] == whole["risk"]
    assert answer["reasons"] == []  # it has no trees


def test_rules_answer_where_no_model_can_and_the_base_rate_where_no_rule_fires(serve, release, failing, serving_site):
    feature = "system.cpu.utilization.mean_15m"
    rules = rule_rungs([Rule("always", feature, 0.62, "", above=-1.0), Rule("higher", feature, 0.7, "", below=-1.0)], release.contract.view.names)
    broken = replace(failing(release, "primary", "simpler"), rules=rules)
    named = one(serve(broken), servers=[serving_site.servers[0]], explain=True)
    assert (named["rung"], named["risk"], named["interval"], named["tier"]) == ("rules", 0.62, [0.0, 1.0], "page")
    given = one(serve(broken), rows=[{"system.memory.utilization.mean_15m": 0.5}])  # the rule's feature is missing: it stays silent
    assert (given["rung"], given["risk"], given["tier"]) == ("default", round(release.default, 6), "none")


def test_a_rule_on_a_feature_that_the_source_lacks_is_silent(release):
    assert rule_rungs([Rule("x", "no.such.metric.mean_15m", 0.5, "", above=0.0)], release.contract.view.names) == []


def test_a_warming_server_keeps_tier_none_even_when_a_rule_fires(serve, release, failing):
    rules = rule_rungs([Rule("always", "system.cpu.utilization.mean_15m", 0.9, "", above=-1.0)], release.contract.view.names)
    answer = one(serve(replace(failing(release, "primary", "simpler"), rules=rules)), servers=[NEWCOMER])
    assert (answer["rung"], answer["risk"], answer["tier"], answer["warming"]) == ("rules", 0.9, "none", "15m of 6h")


def because(service, server):
    """Why the answering rung answers for this server."""
    body = {"inputs": [{"name": "server", "datatype": "BYTES", "shape": [1], "data": [server]}]}
    return json.loads(service.handle(HttpRequest("POST", "/v2/models/incident/infer", {}, json.dumps(body).encode())).body)["parameters"]["because"]


def test_while_the_store_is_out_the_last_row_goes_on_and_says_how_old_it_is(serve, release, serving_site, tmp_path):
    row = online_row(serving_site)
    store = online_store(tmp_path / "online.db", release.contract, row, StreamClock(row.time, time.time(), 1.0))
    service = serve(release, store)
    whole = one(service, servers=[row.entity])
    store.rename(tmp_path / "away.db")
    service._online._let_go()  # as a read that fails does
    stale = one(service, servers=[row.entity])
    assert (stale["rung"], stale["risk"]) == ("primary", whole["risk"])
    other = one(service, servers=["somebody-else"])
    assert (other["rung"], other["tier"]) == ("default", "none")
    (tmp_path / "away.db").rename(store)
    assert predict(service, servers=["somebody-else"])[0] == 404  # it is back, and knows no such server


def narrowed(release, **fields):
    """The same contract with the first input's field changed."""
    inputs = [msgspec.structs.replace(release.contract.inputs[0], **fields), *release.contract.inputs[1:]]
    return replace(release, contract=msgspec.structs.replace(release.contract, inputs=inputs))


def test_looked_up_values_outside_the_range_are_clipped_and_counted(serve, release, serving_site):
    service = serve(narrowed(release, low=2.0, high=3.0))
    one(service, servers=serving_site.servers)
    assert service.metrics.features_clipped.values == {("server_windows",): len(serving_site.servers)}
    status, answer = predict(service, rows=[{release.contract.inputs[0].name: 0.5}])
    assert status == 400 and "outside 2.0 to 3.0" in answer["error"]


def test_a_missing_value_is_refused_where_the_contract_requires_one(serve, release):
    service = serve(narrowed(release, nullable=False))
    status, answer = predict(service, rows=[{release.contract.inputs[1].name: 0.5}])
    assert status == 400 and release.contract.inputs[0].name in answer["error"]


def test_reasons_follow_the_policy(serve, release, serving_site):
    server = [serving_site.servers[0]]
    assert len(one(serve(replace(release, explanation="always")), servers=server)["reasons"]) == 3
    assert one(serve(replace(release, explanation="never")), servers=server, explain=True)["reasons"] == []


def online_row(serving_site, **fields):
    store = open_online_store(f"sqlite:{serving_site.online_store}", read_only=True)
    [row] = store.read("incident", [serving_site.servers[0]])
    store.close()
    return replace(row, **fields)


def online_store(path, contract, row, clock):
    store = open_online_store(f"sqlite:{path}")
    store.put_service("incident", contract.view, "simulated", clock)
    store.write("incident", [row])
    store.close()
    return path


def test_rows_of_another_feature_version_are_never_given_to_the_model(serve, release, serving_site, tmp_path):
    row = online_row(serving_site, version="0123456789abcdef")
    store = online_store(tmp_path / "online.db", release.contract, row, StreamClock(row.time, time.time(), 1.0))
    service = serve(release, store)
    answer = one(service, servers=[row.entity])
    assert (answer["rung"], answer["tier"], answer["features"]["age_seconds"]) == ("default", "none", None)
    assert "0123456789abcdef" in because(service, row.entity) and release.contract.feature_version in because(service, row.entity)


def test_age_is_told_by_the_streams_own_clock(serve, release, serving_site, tmp_path):
    row = online_row(serving_site)
    store = online_store(tmp_path / "online.db", release.contract, row, StreamClock(row.time + 600.0, time.time() - 10.0, 60.0))
    answer = one(serve(release, store), servers=[row.entity])
    assert 1200.0 <= answer["features"]["age_seconds"] <= 1500.0  # ten minutes, and ten seconds at sixty times


def test_a_store_that_appears_later_is_found(serve, release, serving_site, tmp_path):
    service = serve(release, tmp_path / "online.db")
    assert one(service, servers=["a"])["rung"] == "default" and because(service, "a") == "features: the online store is out; no rule fired"
    row = online_row(serving_site)
    online_store(tmp_path / "online.db", release.contract, row, StreamClock(row.time, time.time(), 1.0))
    assert one(service, servers=[row.entity])["rung"] == "primary"


def test_detector_scores_follow_a_row_that_is_written_again_for_the_same_tick(serve, release, serving_site, tmp_path):
    row = online_row(serving_site)
    clock = StreamClock(row.time, time.time(), 1.0)
    store = online_store(tmp_path / "online.db", release.contract, row, clock)
    service = serve(release, store)
    first = one(service, servers=[row.entity], explain=True)
    assert one(service, servers=[row.entity], explain=True)["risk"] == first["risk"]
    writer = open_online_store(f"sqlite:{store}")
    writer.write("incident", [OnlineRow(row.entity, row.time, row.version, row.values, row.coverage, row.history + 0.3)])
    writer.close()
    fresh = one(serve(release, store), servers=[row.entity])["risk"]
    assert one(service, servers=[row.entity])["risk"] == fresh


def test_every_answer_is_in_the_journal_under_its_own_id(serve, release, serving_site, tmp_path):
    service = serve(release)
    ids = [one(service, servers=[name])["prediction_id"] for name in serving_site.servers]
    response = service.handle(HttpRequest("POST", "/predict", {}, json.dumps({"servers": serving_site.servers}).encode()))
    ids += [prediction["prediction_id"] for prediction in json.loads(response.body)["predictions"]]
    written = [record for _, path in segments(tmp_path / "journal-0") for frame in read_segment(path)[1] for record in frame.records]
    kept = [record for record in written if isinstance(record, Decision)]
    assert [record.prediction_id for record in kept] == ids and len(set(ids)) == len(ids)
    assert [record.server for record in kept] == serving_site.servers * 2
    assert {record.feature_version for record in kept} == {release.contract.feature_version}
    rows = [(record.server, record.time) for record in written if isinstance(record, Snapshot)]  # each once, however often it was read
    assert sorted(rows) == sorted({(record.server, record.feature_time) for record in kept})


def test_before_warm_up_and_after_stop_nothing_is_predicted(serve, release, serving_site):
    service = serve(release)
    service.ready = False
    assert predict(service, servers=serving_site.servers)[0] == 503
    for path in ("/v2/health/ready", "/v2/models/incident/ready"):
        assert service.handle(HttpRequest("GET", path, {}, b"")).status == 503
    assert service.handle(HttpRequest("GET", "/v2/health/live", {}, b"")).status == 200


def test_a_contract_that_the_detectors_do_not_fit_is_refused_at_start(serve, release):
    with pytest.raises(ArtifactRefused, match="detectors"):
        serve(replace(release, detectors=None))
    inputs = [InputField("another.name"), *release.contract.inputs[1:]]
    with pytest.raises(ArtifactRefused, match="feature view"):
        serve(replace(release, contract=msgspec.structs.replace(release.contract, inputs=inputs)))


def test_a_sequence_model_reads_the_last_ticks_of_the_online_row(serve, release, serving_site):
    metrics = list(release.contract.view.metrics)
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]), helper.make_node("Where", ["missing", "zero", "x"], ["filled"]),
        helper.make_node("ReduceMean", ["filled"], ["mean"], axes=[1, 2], keepdims=0), helper.make_node("Sigmoid", ["mean"], ["score"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "mean", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 48, len(metrics)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None])], [helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])],
    )  # fmt: skip
    model = load_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9).SerializeToString())
    contract = msgspec.structs.replace(release.contract, kind="sequence", inputs=[InputField(name) for name in metrics], history=48, detectors=0)
    changed = with_scores(release, primary=model)
    changed.members["primary"].width, changed.members["primary"].explainer = len(metrics), None
    service = serve(replace(changed, contract=contract, rungs=["primary"], detectors=None))
    row = online_row(serving_site)
    history = np.ascontiguousarray(row.history[-48:])
    named = one(service, servers=[row.entity], explain=True)
    assert named["risk"] == pytest.approx(release.calibrations["primary"].one(model(history[None])[0])[0], abs=1e-6) and named["reasons"] == []
    tensor = {"name": "x", "shape": [1, 48, len(metrics)], "datatype": "FP32", "parameters": {"binary_data_size": history.nbytes}}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {b"inference-header-content-length": str(len(head)).encode()}
    response = service.handle(HttpRequest("POST", "/v2/models/incident/infer", headers, head + history.tobytes()))
    assert response.status == 200 and json.loads(response.body)["outputs"][0]["data"][0] == pytest.approx(named["risk"], abs=1e-6)
    assert predict(service, rows=[{metrics[0]: 1.0}])[0] == 400


def test_an_error_inside_tells_the_caller_nothing(serve, release, serving_site):
    service = serve(replace(release, thresholds={"watch": "no number"}))  # a programming error, whatever it may be
    response = service.handle(HttpRequest("POST", "/predict", {}, json.dumps({"servers": serving_site.servers}).encode()))
    assert response.status == 500 and json.loads(response.body) == {"error": "The server failed. Its log says why."}


def ask_together(service, *requests):
    """As in one tick of the loop: all are there before any is answered. Status and body of each."""
    answers = [[] for _ in requests]
    for servers, kept in zip(requests, answers, strict=True):
        body = json.dumps({"servers": servers}).encode()
        service.submit(HttpRequest("POST", "/predict", {}, body), kept.append)
    service.queue.flush()
    return [(kept[0].status, json.loads(kept[0].body)) for kept in answers]


def test_together_everybody_is_told_what_each_would_be_told_alone(serve, release, serving_site):
    service = serve(release)
    asked = [[serving_site.servers[0]], ["no-such-server"], [serving_site.servers[1], serving_site.servers[0]], [serving_site.servers[0]]]
    told = ask_together(service, *asked)
    assert [status for status, _ in told] == [200, 404, 200, 200]
    for servers, (status, answer) in zip(asked, told, strict=True):
        alone_status, alone = predict(service, servers=servers)
        assert status == alone_status
        names = ("server", "risk", "interval", "tier", "time", "warming", "rung")
        assert [[one[name] for name in names] for one in answer.get("predictions", ())] == [
            [one[name] for name in names] for one in alone.get("predictions", ())
        ]  # fmt: skip


def test_a_row_that_cannot_be_read_takes_down_nobody_who_did_not_ask_for_it(serve, release, serving_site, tmp_path):
    import shutil
    import sqlite3

    store = tmp_path / "online.db"
    shutil.copy(serving_site.online_store, store)
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE online_row SET blob = x'00' WHERE entity = ?", (serving_site.servers[0],))
    connection.close()
    told = ask_together(serve(release, store), [serving_site.servers[0]], [serving_site.servers[1]], [serving_site.servers[2]])
    assert [answer["predictions"][0]["rung"] for _, answer in told] == ["default", "primary", "primary"]


def test_a_step_that_fails_for_a_whole_tick_leaves_nobody_without_an_answer(serve, release, serving_site):
    service = serve(release)
    path = service.queue._path
    whole = path._preprocess

    def broken(batch):
        raise ValueError("nobody foresaw this")

    path._preprocess = replace(whole, steps=[*whole.steps, broken])
    told = ask_together(service, [serving_site.servers[0]], [serving_site.servers[1]])
    assert [status for status, _ in told] == [500, 500] and "Its log says why" in told[0][1]["error"]
    path._preprocess = whole
    assert [status for status, _ in ask_together(service, [serving_site.servers[0]], [serving_site.servers[1]])] == [200, 200]


def test_a_refused_request_leaves_no_ring_that_holds_its_body(serve, release, serving_site):
    """Only the collector would let go of it, and a server lets that run rarely."""
    import gc
    import weakref

    service = serve(release)
    gc.collect()
    gc.disable()
    try:
        held = []
        for wrong in (np.full((1, len(release.input_names)), 3e38, np.float32), np.zeros((5000, len(release.input_names)), np.float32)):
            request = PathRequest(x=wrong.copy())
            held.append(weakref.ref(request.x))
            refused = []
            service.queue.submit(request, lambda answered, refused=refused: refused.append(answered.refused.reason))
            service.queue.flush()
            assert refused in (["range"], ["rows"], ["not_finite"]), refused
            del request
        assert [ref() for ref in held] == [None, None]
    finally:
        gc.enable()
