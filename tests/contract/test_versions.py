"""Versions side by side over the sockets that clients use: what each answers, and how the old name says that it goes away."""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import jsonschema_rs
import pytest

from benchmarks.serving_release import NEWCOMER

V1 = {"server", "time", "risk", "interval", "tier", "reasons", "model", "features", "warming", "rung", "prediction_id"}
V2 = V1 | {"because", "used", "doubts", "distance"}


def predictions(client, path, **body):
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer, answer.json()["predictions"]


@pytest.mark.parametrize(("path", "fields"), [("/api/v1/predict", V1), ("/predict", V1), ("/api/v2/predict", V2)])
def test_each_version_answers_its_own_document(client, serving_site, path, fields):
    _, found = predictions(client, path, servers=[serving_site.servers[0], NEWCOMER], explain=True)
    assert all(prediction.keys() == fields for prediction in found)
    assert [prediction["server"] for prediction in found] == [serving_site.servers[0], NEWCOMER]


def test_versions_agree_in_what_they_share(client, serving_site):
    asked = {"servers": serving_site.servers[:3], "explain": True, "top": 2}
    _, first = predictions(client, "/api/v1/predict", **asked)
    _, second = predictions(client, "/api/v2/predict", **asked)
    for one, other in zip(first, second, strict=True):
        for key in V1 - {"prediction_id", "features"}:
            assert one[key] == other[key], key
    assert {(one["because"], one["used"]) for one in second} == {("asked first", "primary")}


def test_version_one_is_the_document_that_the_command_prints(client, serving_site):
    schema = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "predict.json").read_text())
    _, found = predictions(client, "/api/v1/predict", servers=serving_site.servers, explain=True)
    jsonschema_rs.validator_for(schema).validate(found)


@pytest.mark.parametrize(("method", "path", "successor"), [
    ("POST", "/predict", "/api/v2/predict"), ("GET", "/servers", "/api/v2/servers"),
    ("GET", "/predict", "/api/v2/predict"), ("POST", "/servers", "/api/v2/servers"),
])  # fmt: skip
def test_an_old_name_says_in_every_answer_since_when_until_when_and_what_instead(client, method, path, successor):
    headers = client.request(method, path, json={"servers": ["nobody"]} if method == "POST" else None).headers
    since = datetime.fromtimestamp(int(re.fullmatch(r"@(\d+)", headers["deprecation"])[1]), UTC)
    until = parsedate_to_datetime(headers["sunset"])
    assert since < until and headers["sunset"].endswith("GMT")
    assert headers["link"] == f'<{successor}>; rel="successor-version"'
    assert client.get("/openapi.json").json()["paths"][successor]


@pytest.mark.parametrize("path", ["/api/v1/predict", "/api/v2/predict", "/api/v2/servers", "/v2/models/incident"])
def test_a_current_name_is_not_marked(client, path):
    headers = client.get(path).headers
    assert not {"deprecation", "sunset", "link"} & headers.keys()


def test_the_loaded_version_of_the_open_inference_protocol_answers_as_the_model_does(client, serving_site):
    infer = {"inputs": [{"name": "server", "datatype": "BYTES", "shape": [1], "data": [serving_site.servers[0]]}]}
    model = client.get("/v2/models/incident").json()
    [version] = model["versions"]
    assert client.get(f"/v2/models/incident/versions/{version}").json() == model
    assert client.get(f"/v2/models/incident/versions/{version}/ready").json() == {"name": "incident", "ready": True}
    whole, named = (client.post(f"/v2/models/incident{part}/infer", json=infer).json() for part in ("", f"/versions/{version}"))
    assert whole["outputs"] == named["outputs"] and named["model_version"] == version


@pytest.mark.parametrize("path", ["versions/99", "versions/99/infer", "versions/99/ready", "versions/", "versions/1/nothing", "versions/..%2f1"])
def test_another_version_is_not_found_by_its_name(client, path):
    answer = client.post(f"/v2/models/incident/{path}", json={}) if path.endswith("infer") else client.get(f"/v2/models/incident/{path}")
    assert answer.status_code == 404 and "This server has" in answer.json()["error"]


def test_the_rules_that_answer_last_are_there_to_be_kept(client, serving_site):
    rules = client.get("/api/v2/rules").json()
    assert rules["contract"]["feature_version"] == serving_site.contract.feature_version and 0 < rules["default"] < 1
    assert list(rules["thresholds"]) == ["watch", "act", "page"]
    names = set(serving_site.contract.view.names)
    assert {rule["feature"] for rule in rules["rules"]} <= names and all((rule["above"] is None) != (rule["below"] is None) for rule in rules["rules"])
