"""The plane's Prometheus: what PodMonitors and PrometheusRules become, and that a real one reads a real program by it."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from builders.ports import free_port

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER
from presage.local.prometheus import CONFIG, TARGETS, ScrapePort, command, prometheus_files, write_files
from presage.manifests.fields import FieldError
from presage.manifests.objects import parse_objects

BASE = Path(__file__).parents[2] / "manifests" / "base" / "observability"


def committed():
    """The repository's own, in the namespace that its kustomization gives them."""
    objects = [found for path in sorted(BASE.glob("p*.yaml")) for found in parse_objects(path.read_text(), path.name)]
    for found in objects:
        found["metadata"]["namespace"] = "monitoring"
    return objects


def predictor(pod, port, *, app="isvc.incident-predictor", name="metrics", container="kserve-container", address="127.0.0.1"):
    labels = {"app": app, "component": "predictor", "serving.kserve.io/inferenceservice": "incident"}
    return ScrapePort(pod, "models-network", labels, container, name, address, port)


def monitor(**spec):
    spec = {"selector": {}, "podMetricsEndpoints": [{"port": "metrics"}], **spec}
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": {"name": "one", "namespace": "monitoring"}, "spec": spec}


def job(**spec):
    [found] = yaml.safe_load(prometheus_files([monitor(**spec)], []).settled[CONFIG])["scrape_configs"]
    return found


def test_a_pod_monitor_becomes_the_job_that_the_operator_makes():
    endpoint = {
        "port": "metrics", "path": "/m", "interval": "5s", "scrapeTimeout": "1s", "honorLabels": True,
        "relabelings": [{"targetLabel": "track", "replacement": "stable"}], "metricRelabelings": [{"action": "Drop", "regex": "x"}],
    }  # fmt: skip
    selector = {"matchLabels": {"app.kubernetes.io/name": "telemetry"}}
    found = job(selector=selector, namespaceSelector={"matchNames": ["a", "b"]}, podTargetLabels=["app"], sampleLimit=9, podMetricsEndpoints=[endpoint])
    assert found == {
        "job_name": "podMonitor/monitoring/one/0", "honor_labels": True, "metrics_path": "/m", "scrape_interval": "5s", "scrape_timeout": "1s",
        "sample_limit": 9,
        "file_sd_configs": [{"files": [TARGETS], "refresh_interval": "10s"}],
        "relabel_configs": [
            {"action": "keep", "source_labels": ["__meta_kubernetes_namespace"], "regex": "a|b"},
            {"action": "keep", "regex": "(telemetry);true",
             "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name", "__meta_kubernetes_pod_labelpresent_app_kubernetes_io_name"]},
            {"action": "keep", "source_labels": ["__meta_kubernetes_pod_container_port_name"], "regex": "metrics"},
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            {"source_labels": ["__meta_kubernetes_pod_label_app"], "target_label": "app", "regex": "(.+)"},
            {"target_label": "job", "replacement": "monitoring/one"},
            {"target_label": "endpoint", "replacement": "metrics"},
            {"target_label": "track", "replacement": "stable"},
        ],
        "metric_relabel_configs": [{"action": "drop", "regex": "x"}],
    }  # fmt: skip


def test_without_a_namespace_selector_a_monitor_finds_its_own_namespace():
    assert job()["relabel_configs"][0] == {"action": "keep", "source_labels": ["__meta_kubernetes_namespace"], "regex": "monitoring"}
    assert job(namespaceSelector={"any": True})["relabel_configs"][0]["source_labels"] == ["__meta_kubernetes_pod_container_port_name"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"podMetricsEndpoints": [{"port": "metrics", "scheme": "https"}]}, "spec.podMetricsEndpoints[0].scheme is not http"),
        ({"podMetricsEndpoints": [{"port": "metrics", "tlsConfig": {}}]}, "spec.podMetricsEndpoints[0].tlsConfig"),
        ({"podMetricsEndpoints": [{"path": "/metrics"}]}, "spec.podMetricsEndpoints[0].port is missing"),
        ({"podMetricsEndpoints": [{"port": "metrics", "relabelings": [{"source_labels": ["a"]}]}]}, "relabelings[0].source_labels"),
        ({"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}, "operator is 'Near'"),
        ({"jobLabel": "app"}, "spec.jobLabel"),
    ],
)
def test_what_it_cannot_honour_is_named_with_object_and_field(spec, words):
    with pytest.raises(FieldError) as refused:
        prometheus_files([monitor(**spec)], [])
    assert refused.value.message.startswith("PodMonitor monitoring/one: ") and words in refused.value.message


def test_other_kinds_of_the_group_are_refused_and_other_groups_left_alone():
    with pytest.raises(FieldError, match="ServiceMonitor"):
        prometheus_files([monitor() | {"kind": "ServiceMonitor"}], [])
    assert "scrape_configs: []" in prometheus_files([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}}], []).settled[CONFIG]


def test_files_change_only_where_something_changed_and_rules_that_are_gone_go(tmp_path):
    objects = committed()
    files = prometheus_files(objects, [predictor("incident-0", 9090)])
    assert write_files(tmp_path, files)
    assert not write_files(tmp_path, files)
    assert not write_files(tmp_path, prometheus_files(objects, [predictor("incident-0", 9090), predictor("incident-1", 9090)]))  # targets: it sees them itself
    assert "incident-1" in (tmp_path / TARGETS).read_text()
    fewer = [found for found in objects if found["metadata"]["name"] != "streams"]
    assert (tmp_path / "rules" / "monitoring-streams.yaml").is_file()
    assert write_files(tmp_path, prometheus_files(fewer, []))
    assert not (tmp_path / "rules" / "monitoring-streams.yaml").exists()


needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus (Debian package prometheus)")


@needs_prometheus
def test_promtool_finds_nothing_wrong_with_the_configuration_of_the_committed_objects(tmp_path):
    write_files(tmp_path, prometheus_files(committed(), [predictor("incident-0", 9090)]))
    done = subprocess.run(["promtool", "check", "config", tmp_path / CONFIG], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Watching:
    """A real Prometheus over the committed objects, reading every second."""

    def __init__(self, folder: Path, ports: list[ScrapePort]) -> None:
        self.folder = folder
        self.objects = committed()
        for found in self.objects:
            for endpoint in found["spec"].get("podMetricsEndpoints", []):
                endpoint |= {"interval": "1s", "scrapeTimeout": "1s"}
        self.show(ports)
        self.address = f"http://127.0.0.1:{(port := free_port())}"
        self.process = subprocess.Popen(command(folder, "127.0.0.1", port), cwd=folder, stderr=subprocess.PIPE, text=True)

    def show(self, ports: list[ScrapePort]) -> bool:
        return write_files(self.folder, prometheus_files(self.objects, ports))

    def until(self, query: str, count: int = 1) -> list[dict[str, str]]:
        """The labels of at least `count` series that the query finds."""
        until = time.monotonic() + 60
        found: list[dict[str, str]] = []
        while time.monotonic() < until:
            try:
                answer = httpx2.get(self.address + "/api/v1/query", params={"query": query})
                found = [series["metric"] for series in answer.json()["data"]["result"]] if answer.status_code == 200 else []
            except httpx2.TransportError:
                assert self.process.poll() is None, self.process.stderr.read()
            if len(found) >= count:
                return found
            time.sleep(0.1)
        raise AssertionError(f"{query} finds {found}, after a minute")

    def rules(self) -> set[str]:
        groups = httpx2.get(self.address + "/api/v1/rules").json()["data"]["groups"]
        return {rule["name"] for group in groups for rule in group["rules"] if not rule.get("lastError")}


@pytest.fixture(scope="module")
def watched(serving_site, tmp_path_factory) -> Iterator[tuple[Watching, ServerProcess, int]]:
    port = free_port()
    with ServerProcess(serving_site, tmp_path_factory.mktemp("server"), f"--metrics_port={port}") as server:
        ports = [predictor("incident-0", port), predictor("incident-canary-0", port, app="isvc.incident-canary-predictor")]
        watching = Watching(tmp_path_factory.mktemp("prometheus"), ports)
        try:
            yield watching, server, port
        finally:
            watching.process.terminate()
            watching.process.wait(20)
            watching.process.stderr.close()


@pytest.mark.long
@needs_prometheus
def test_a_real_prometheus_reads_a_real_program_and_tells_canary_from_stable(watched):
    watching, server, _ = watched
    assert httpx2.post(server.address + "/predict", json={"servers": [NEWCOMER]}).status_code == 200
    series = watching.until('presage_requests_total{endpoint="predict"}', count=2)
    assert sorted((found["track"], found["predictor"], found["pod"]) for found in series) == [
        ("canary", "incident-canary-predictor", "incident-canary-0"), ("stable", "incident-predictor", "incident-0"),
    ]  # fmt: skip
    assert {key: value for key, value in series[0].items() if key not in ("track", "predictor", "pod", "instance")} == {
        "__name__": "presage_requests_total", "job": "monitoring/predictors", "namespace": "models-network", "container": "kserve-container",
        "inferenceservice": "incident", "model": "incident", "version": "1", "endpoint": "predict", "code": "200", "rung": "primary",
    }  # fmt: skip
    assert not {"exported_endpoint", "exported_job"} & {key for found in watching.until('{job="monitoring/predictors"}') for key in found}


@pytest.mark.long
@needs_prometheus
def test_it_takes_new_pods_without_a_word_and_knows_every_rule(watched):
    watching, _, port = watched
    ports = [predictor(f"incident-{number}", port) for number in range(2)]
    told = watching.show([*ports, predictor("incident-0", free_port(), name="http")])
    assert not told
    assert {found["pod"] for found in watching.until('up{pod="incident-1"} == 1')} == {"incident-1"}
    watching.until('absent(up{pod="incident-canary-0"})')
    assert {found["pod"] for found in watching.until('up{job="monitoring/predictors"} == 1', count=2)} == {"incident-0", "incident-1"}
    wanted = {rule.get("alert") or rule["record"] for found in watching.objects for group in found["spec"].get("groups", []) for rule in group["rules"]}
    assert watching.rules() == wanted
    watching.objects = [found for found in watching.objects if found["metadata"]["name"] != "streams"]
    assert watching.show(ports)
    watching.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 20
    while "FeaturesStale" in watching.rules():
        assert time.monotonic() < until
    assert watching.rules() < wanted
