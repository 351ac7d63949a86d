"""Rules and dashboard speak only of metrics and labels that exist, and every alert says what a person on call needs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
import yaml
from promql import names, plain
from watched import BASE, METRICS, ROOT, dashboard, declared, objects, panels, rules, series

RECORDED = {rule["record"] for rule in rules("record")}
EXPRESSIONS = [
    *((rule.get("alert") or rule["record"], rule["expr"]) for rule in (*rules("record"), *rules("alert"))),
    *((f"{panel['title']}/{target['refId']}", target["expr"]) for panel in panels() for target in panel["targets"]),
    *((f"annotation {one['name']}", one["expr"]) for one in dashboard()["annotations"]["list"]),
]
NAMED = pytest.mark.parametrize(("place", "expression"), EXPRESSIONS, ids=[place for place, _ in EXPRESSIONS])
VARIABLES = {"datasource", "namespace", "inferenceservice"}


def test_names_are_found_in_expressions_of_every_form():
    ratio = 'sum by (le, a) (rate(b_bucket{c=~"d{e}",f!="g"}[5m:1m])) / on (h) group_left () i:j:k offset 5m'
    found = names(f'{ratio} > 1e3 or absent(l) and 2 * m{{n="o"}} unless p')
    assert found.metrics == {"b_bucket", "i:j:k", "l", "m", "p"}
    assert found.selected == {("b_bucket", "c"), ("b_bucket", "f"), ("m", "n")}
    assert found.grouped == {"le", "a", "h"}


@NAMED
def test_an_expression_names_only_metrics_that_exist(place, expression):
    assert names(expression).metrics
    assert names(expression).metrics - RECORDED <= series().keys()


@NAMED
def test_a_matcher_names_only_labels_that_the_metric_has(place, expression):
    known = series()
    wrong = {(metric, label) for metric, label in names(expression).selected if metric in known and label not in known[metric]}
    assert wrong == set()


def test_a_record_is_named_by_its_level_and_has_the_labels_of_that_name():
    for rule in rules("record"):
        level, metric, operation = rule["record"].split(":")
        assert re.fullmatch(r"[a-z_]+", level) and metric and operation, rule["record"]
        grouped = names(rule["expr"]).grouped
        for label in level.replace("namespace_", "namespace,").replace("source_", "source,").split(","):
            assert label in grouped | {"gateway"} or names(rule["expr"]).metrics & RECORDED, rule["record"]


def test_what_proxies_keep_is_exactly_what_is_declared_of_them():
    [proxies] = [found for found in objects("PodMonitor") if found["metadata"]["name"] == "proxies"]
    [keep] = proxies["spec"]["podMetricsEndpoints"][0]["metricRelabelings"]
    kept = {name for name in declared() if re.fullmatch(keep["regex"], name)}
    assert kept == {metric["name"] for who in ("istio", "envoy") for metric in METRICS["others"][who]["metrics"]}


def test_the_labels_of_a_scrape_are_those_that_the_pod_monitors_write():
    written = {}
    for found in objects("PodMonitor"):
        [endpoint] = found["spec"]["podMetricsEndpoints"]
        written[found["metadata"]["name"]] = {one["targetLabel"] for one in endpoint["relabelings"] if "targetLabel" in one}
        assert {"action": "labeldrop", "regex": "endpoint"} in endpoint["relabelings"]  # or our own label `endpoint` would be renamed
    assert written == {"predictors": set(METRICS["scrape"]["predictors"]), "telemetry": set(), "proxies": set()}


@pytest.mark.parametrize("alert", rules("alert"), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_what_how_much_what_to_do_and_whose_it_is(alert):
    assert re.fullmatch(r"([A-Z][a-z0-9]+)+", alert["alert"])
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["labels"]["owner"] in {"platform-reliability", "model-risk"}
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert "$value" in annotations["description"] and "$value" not in annotations["summary"]  # a summary that changes would be another alert each time
    assert len(annotations["summary"]) <= 150
    page, _, anchor = annotations["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / page).read_text(), flags=re.MULTILINE)
    assert alert["alert"] in headings and anchor == alert["alert"].lower()


def test_every_runbook_is_about_an_alert_that_exists():
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "observability.md").read_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in rules("alert"))


def test_alerts_and_records_have_names_of_their_own():
    found = [rule.get("alert") or rule["record"] for rule in (*rules("record"), *rules("alert"))]
    assert len(found) == len(set(found))


def test_the_dashboard_is_whole():
    board = dashboard()
    assert board["uid"] == "presage" and {one["name"] for one in board["templating"]["list"]} == VARIABLES
    identities = [panel["id"] for panel in board["panels"]]
    assert len(identities) == len(set(identities))
    used = set(re.findall(r"\$\{?(\w+)\}?", orjson.dumps(board).decode()))
    assert used <= VARIABLES | {"__rate_interval", "__all"}
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"] and (panel["type"] == "row" or panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian package prometheus)")
def test_promtool_can_read_every_expression_of_the_dashboard(tmp_path):
    found = [{"record": f"panel:{number}:x", "expr": plain(expression)} for number, (_, expression) in enumerate(EXPRESSIONS)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": found}]}))
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "panels.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif("PRESAGE_SCHEMAS" not in os.environ, reason="needs the schemas of PRESAGE_SCHEMAS")
@pytest.mark.parametrize("kind", ["PodMonitor", "PrometheusRule"])
def test_objects_follow_the_schemas_of_their_kinds(kind):
    import jsonschema_rs

    path = Path(os.environ["PRESAGE_SCHEMAS"]) / "monitoring.coreos.com" / f"{kind.lower()}_v1.json"
    schema = jsonschema_rs.validator_for(orjson.loads(path.read_bytes()))
    assert objects(kind)
    for found in objects(kind):
        assert [f"{error.instance_path}: {error.message}" for error in schema.iter_errors(found)] == [], found["metadata"]["name"]


def test_one_kind_a_file_and_every_file_is_listed():
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    assert sorted(listed["resources"]) == sorted(path.name for path in BASE.glob("*.*.yaml"))
    for kind in ("PodMonitor", "PrometheusRule"):
        assert {found["kind"] for found in objects(kind)} == {kind}
