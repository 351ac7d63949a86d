"""What a running server answers, over the sockets that clients use."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER
from presage.features.carriers import carrier, metric_shares
from presage.features.store import open_online_store
from presage.package.treeshap import TreeExplainer

PREDICTION = {
    "server", "time", "risk", "interval", "tier", "reasons", "model", "features", "warming", "rung", "prediction_id",
}  # fmt: skip


def expected(site, rows):
    """Risk, p0, p1 of rows, computed beside the server from the packaged files."""
    import onnxruntime

    scores = onnxruntime.InferenceSession(site.onnx, providers=["CPUExecutionProvider"]).run(["score"], {"x": rows})[0]
    return site.calibration.apply(scores)


def x_request(rows, **extra):
    return {"inputs": [{"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}], **extra}


def outputs(response):
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


@pytest.fixture(scope="module")
def whole_rows(serving_site):
    """Rows without a missing value: JSON tensors cannot say `missing`."""
    rows = serving_site.x[~np.isnan(serving_site.x).any(axis=1)]
    assert len(rows) > 100
    return rows


def test_a_json_request_gets_the_packaged_models_risk_and_interval(client, serving_site, whole_rows):
    rows = whole_rows[:7]
    got = outputs(client.post("/v2/models/incident/infer", json=x_request(rows)))
    risk, low, high = expected(serving_site, rows)
    assert got["risk"]["data"] == pytest.approx(risk, abs=1e-9)
    assert got["interval"]["data"] == pytest.approx(np.stack([low, high], axis=1).ravel(), abs=1e-9)
    assert set(got) == {"risk", "interval", "tier"} and got["interval"]["shape"] == [7, 2]


def test_a_named_server_is_answered_from_its_online_row(client, serving_site):
    prediction = client.post("/predict", json={"servers": [serving_site.servers[0]]}).json()["predictions"][0]
    assert prediction.keys() == PREDICTION
    assert prediction["server"] == serving_site.servers[0] and prediction["time"].endswith("Z")
    assert 0 <= prediction["interval"][0] <= prediction["interval"][1] <= 1
    assert prediction["features"]["version"] == serving_site.contract.feature_version
    assert prediction["features"]["age_seconds"] > 0 and prediction["features"]["coverage"] == [1, 1, 1]
    assert prediction["warming"] is None and prediction["rung"] == "primary" and prediction["reasons"] == []


def test_answers_follow_the_committed_schema(client, serving_site):
    import jsonschema_rs

    schema = jsonschema_rs.validator_for(json.loads((Path(__file__).parents[2] / "docs/schemas/predict.json").read_text()))
    for document in ({"servers": [NEWCOMER, serving_site.servers[0]], "explain": True}, {"rows": [{"system.cpu.utilization.mean_15m": 0.5}]}):
        assert [error.message for error in schema.iter_errors(client.post("/predict", json=document).json()["predictions"])] == []


def test_every_known_server_gets_the_risk_of_its_assembled_row(client, serving_site):
    """The online row with its detector scores is the row that training saw."""
    names = [*serving_site.servers, *serving_site.servers]
    predictions = client.post("/predict", json={"servers": names}).json()["predictions"]
    assert [prediction["server"] for prediction in predictions] == names
    newest = {name: position for position, name in enumerate(serving_site.servers)}
    per_server = len(serving_site.x) // len(newest)
    rows = np.stack([serving_site.x[(newest[name] + 1) * per_server - 1] for name in names])
    assert [prediction["risk"] for prediction in predictions] == pytest.approx(expected(serving_site, rows)[0], abs=2e-6)


def test_a_warming_server_has_a_risk_and_no_tier(client):
    prediction = client.post("/predict", json={"servers": [NEWCOMER]}).json()["predictions"][0]
    assert prediction["warming"] == "15m of 6h" and prediction["tier"] == "none" and prediction["risk"] > 0


def test_reasons_are_the_trees_three_largest_contributions(client, serving_site, whole_rows):
    row = whole_rows[3]
    got = outputs(client.post("/v2/models/incident/infer", json=x_request(row[None], outputs=[{"name": "reasons"}])))
    reasons = json.loads(got["reasons"]["data"][0])
    contributions = TreeExplainer(serving_site.trees).contributions(row)
    largest = np.argsort(-np.abs(contributions), kind="stable")[:3]
    assert [reason["feature"] for reason in reasons] == [serving_site.contract.inputs[index].name for index in largest]
    assert [reason["contribution"] for reason in reasons] == pytest.approx(contributions[largest])
    assert [reason["value"] for reason in reasons] == pytest.approx(row[largest])
    metric_of = serving_site.contract.view.metric_of
    assert [reason["metric"] for reason in reasons] == [metric_of.get(reason["feature"]) for reason in reasons]


def test_a_reason_about_a_detector_names_the_metric_that_carries_it_where_the_history_is_known(client, serving_site):
    looked_up = client.post("/predict", json={"servers": serving_site.servers, "explain": True, "top": 32}).json()["predictions"]
    store = open_online_store(f"sqlite:{serving_site.online_store}", read_only=True)
    rows = store.read("incident", serving_site.servers)
    store.close()
    detectors, metric_of, found = serving_site.detectors, serving_site.contract.view.metric_of, 0
    for prediction, row in zip(looked_up, rows, strict=True):
        [shares] = metric_shares(detectors, row.history[None], [row.entity], [row.time])
        wanted = {name: carrier(share, detectors.metrics) for name, share in zip(detectors.names, shares, strict=True)} | metric_of
        named = {reason["feature"]: reason["metric"] for reason in prediction["reasons"]}
        assert named == {feature: wanted.get(feature) for feature in named}
        found += sum(feature in detectors.names and metric is not None for feature, metric in named.items())
    assert found
    given = {field.name: float(value) for field, value in zip(serving_site.contract.inputs, serving_site.x[-1], strict=True) if np.isfinite(value)}
    [answer] = client.post("/predict", json={"rows": [given], "explain": True, "top": 32}).json()["predictions"]
    assert {reason["metric"] for reason in answer["reasons"] if reason["feature"] in detectors.names} == {None}


def test_as_many_reasons_as_asked_for_and_no_number_beyond_the_limit(client, serving_site):
    def ask(**how):
        return client.post("/predict", json={"servers": serving_site.servers[:1], "explain": True, **how})

    many, three = (ask(**how).json()["predictions"][0]["reasons"] for how in ({"top": 9}, {}))
    assert len(many) == 9 and many[:3] == three
    for wrong in (0, 33, 2.5, "3"):
        answer = ask(top=wrong)
        assert answer.status_code == 400 and "top" in answer.json()["error"], wrong


def test_rows_by_feature_name_may_leave_features_out(client, serving_site):
    row = serving_site.x[5]
    names = [field.name for field in serving_site.contract.inputs]
    document = {name: None if np.isnan(value) else float(value) for name, value in zip(names, row, strict=True)}
    sparse = {name: value for name, value in document.items() if value is not None}
    answers = client.post("/predict", json={"rows": [document, sparse], "explain": True}).json()["predictions"]
    assert answers[0]["risk"] == answers[1]["risk"] == pytest.approx(expected(serving_site, row[None])[0][0], abs=1e-6)
    assert answers[0]["server"] is None and answers[0]["features"]["age_seconds"] is None and len(answers[0]["reasons"]) == 3


def test_risks_reach_the_tiers_that_the_policys_costs_set(client, serving_site, whole_rows):
    got = outputs(client.post("/v2/models/incident/infer", json=x_request(whole_rows[:200])))
    bounds = [("page", 7500 / 12500), ("act", 1700 / 6700), ("watch", 250 / 5250), ("none", 0)]
    assert got["tier"]["data"] == [next(tier for tier, bound in bounds if risk >= bound) for risk in got["risk"]["data"]]
    assert len(set(got["tier"]["data"])) >= 3


def test_metrics_are_prometheus_text_and_count_what_was_answered(client, whole_rows):
    def sample(name, **labels):
        text = client.get("/metrics").text
        return sum(
            found.value
            for family in text_string_to_metric_families(text)
            for found in family.samples
            if found.name == name and labels.items() <= found.labels.items()
        )

    before = sample("presage_journal_records_total"), sample("presage_requests_total", endpoint="infer", code="200", rung="primary")
    client.post("/v2/models/incident/infer", json=x_request(whole_rows[:5]))
    client.post("/v2/models/incident/infer", json={"inputs": []})
    after = sample("presage_journal_records_total"), sample("presage_requests_total", endpoint="infer", code="200", rung="primary")
    assert (after[0] - before[0], after[1] - before[1]) == (5, 1)
    assert sample("presage_refused_total", reason="input") >= 1
    names = {family.name for family in text_string_to_metric_families(client.get("/metrics").text)}
    catalogue = {
        "presage_requests", "presage_request_seconds", "presage_refused", "presage_inflight_requests", "presage_score", "presage_risk", "presage_tier",
        "presage_feature_age_seconds", "presage_features_missing", "presage_features_clipped", "presage_rung",
        "presage_journal_records", "presage_journal_lag_records",
        "presage_build_info", "presage_queue_depth", "presage_limits_shared", "presage_breaker_open", "presage_shadow", "presage_shadow_difference",
        "request_preprocess_seconds", "request_predict_seconds", "request_postprocess_seconds", "request_explain_seconds",
    }  # fmt: skip
    assert names == catalogue


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/", {"status": "alive"}), ("/v2/health/live", {"live": True}), ("/v2/health/ready", {"ready": True}), ("/v2/models", {"models": ["incident"]}),
        ("/v2/models/incident/ready", {"name": "incident", "ready": True}),
    ],
)  # fmt: skip
def test_health_answers_as_kserve_does(client, path, document):
    response = client.get(path)
    assert (response.status_code, response.json()) == (200, document)
    assert client.head(path).status_code == 200


def test_the_openapi_page_describes_every_field_of_an_answer(client, serving_site):
    document = client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0" and {"/api/v1/predict", "/api/v2/predict", "/predict", "/servers"} < document["paths"].keys()
    assert set(document["components"]["schemas"]["Prediction"]["properties"]) == PREDICTION
    assert [field["name"] for field in document["x-inputs"]] == [field.name for field in serving_site.contract.inputs]


def test_kserves_flags_are_taken_and_unknown_ones_named(serving_site, tmp_path):
    with ServerProcess(serving_site, tmp_path, "--workers=1", "--grpc_port", "8081", "--enable_grpc=false", "--future_flag=7", "--model-name=isvc") as server:
        import httpx2

        assert httpx2.get(server.address + "/v2/models").json() == {"models": ["isvc"]}
    assert any("--future_flag=7" in line and "--workers" in line for line in server.log)
    assert server.process.returncode == 0


def test_without_an_online_store_rows_are_answered_and_servers_by_the_base_rate(serving_site, tmp_path):
    with ServerProcess(serving_site, tmp_path, f"--online_store={tmp_path / 'none.db'}") as server:
        import httpx2

        named = httpx2.post(server.address + "/predict", json={"servers": ["app-01"]})
        [answer] = named.json()["predictions"]
        assert (answer["rung"], answer["tier"]) == ("default", "none")  # whether there is such a server, nobody can say
        assert httpx2.post(server.address + "/v2/models/incident/infer", json=x_request(np.nan_to_num(serving_site.x[:1]))).status_code == 200


def test_a_taken_port_is_one_sentence_and_exit_code_one(server, serving_site, tmp_path):
    port = server.address.rsplit(":", 1)[1]
    second = ServerProcess(serving_site, tmp_path, f"--http_port={port}")
    assert second.wait() == 1
    assert second.log == [f"127.0.0.1:{port} is taken by another program. Stop that program, or choose another --http_port."]


def test_the_servers_process_imports_no_training_library(serving_site):
    """Nor what would only make it slow to start: rich and pydantic were over a third of it."""
    names = ("sklearn", "lightgbm", "torch", "shap", "kfp", "feast", "evidently", "mlflow", "pandas", "polars", "pyarrow", "rich", "pydantic")
    program = f"import sys, inference.server.program, onnxruntime; print([n for n in {names!r} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"
