"""The plane's Prometheus: told by the cluster's own PodMonitors and PrometheusRules what to read and what to watch for.

    files = prometheus_files(objects, ports)        # pure
    write_files(folder, files)                      # True: tell a running Prometheus (SIGHUP)
    subprocess.Popen(command(folder, "127.0.0.1", 9099), cwd=folder)

A PodMonitor becomes the scrape job that the Prometheus Operator makes of it, over the labels that Kubernetes' discovery would find at a
Pod; here a file holds them, which Prometheus reads again by itself whenever Pods come and go.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from presage.errors import PlaneError
from presage.files import write_bytes
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

GROUP = "monitoring.coreos.com"
CONFIG, TARGETS, RULES = "prometheus.yml", "targets.json", "rules"
EVALUATION = "30s"  # the operator's own
_META = "__meta_kubernetes_"
_RELABELING = frozenset({"action", "modulus", "regex", "replacement", "separator", "sourceLabels", "targetLabel"})
_RULE = frozenset({"alert", "annotations", "expr", "for", "keep_firing_for", "labels", "record"})

Relabeling = dict[str, Any]


@dataclass(frozen=True)
class ScrapePort:
    """A named port of a container of a running Pod. labels: the Pod's; address: where the port answers on this machine."""

    pod: str
    namespace: str
    labels: Mapping[str, str]
    container: str
    name: str
    address: str
    port: int


@dataclass(frozen=True)
class PrometheusFiles:
    """By name in Prometheus' folder. settled: what it reads when told to; targets: what it watches by itself."""

    settled: Mapping[str, str]
    targets: str


def prometheus_files(objects: Iterable[Manifest], ports: Iterable[ScrapePort]) -> PrometheusFiles:
    """Of all objects those of the operator's group count. Raises FieldError at a field that the plane's Prometheus cannot honour."""
    ours = [found for found in objects if found["apiVersion"].partition("/")[0] == GROUP]
    jobs: list[dict[str, Any]] = []
    settled: dict[str, str] = {}
    for manifest in sorted(ours, key=label):
        if manifest["kind"] == "PodMonitor":
            jobs += _jobs(manifest)
        elif manifest["kind"] == "PrometheusRule":
            settled[f"{RULES}/{_namespace(manifest)}-{manifest['metadata']['name']}.yaml"] = _yaml({"groups": _groups(manifest)})
        else:
            raise FieldError(label(manifest), "kind", "is not one that the plane's Prometheus reads. Write a PodMonitor or a PrometheusRule.")
    config = {
        "global": {"scrape_interval": "30s", "evaluation_interval": EVALUATION},
        "rule_files": sorted(settled),
        "scrape_configs": jobs,
    }
    settled[CONFIG] = _yaml(config)
    return PrometheusFiles(settled, json.dumps([_target(port) for port in ports], indent=1, sort_keys=True) + "\n")


def write_files(folder: Path, files: PrometheusFiles) -> bool:
    """Write what differs, each file whole, and remove rules that are gone; whether a running Prometheus must be told."""
    changed = False
    (folder / RULES).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in files.settled.items():
        changed |= _replace(folder / name, text)
    for path in (folder / RULES).iterdir():
        if f"{RULES}/{path.name}" not in files.settled:
            path.unlink()
    _replace(folder / TARGETS, files.targets)
    return changed


def installed() -> bool:
    """Whether this machine has a Prometheus."""
    return shutil.which("prometheus") is not None


def command(folder: Path, address: str, port: int) -> list[str]:
    """Its command line. Raises PlaneError where none is installed."""
    program = shutil.which("prometheus")
    if program is None:
        raise PlaneError("prometheus is not installed, so nothing watches the plane. Install the Debian package `prometheus`, then `presage up` again.")
    return [
        program, f"--config.file={folder / CONFIG}", f"--storage.tsdb.path={folder / 'data'}", "--storage.tsdb.retention.time=1d",
        "--storage.tsdb.retention.size=256MB", f"--web.listen-address={address}:{port}", "--log.level=warn",
    ]  # fmt: skip


def _jobs(monitor: Manifest) -> list[dict[str, Any]]:
    spec = Fields.of(monitor).inside("spec")
    namespace = _namespace(monitor)
    keep = [*_namespaces(spec.inside("namespaceSelector"), namespace), *_selected(spec.inside("selector"))]
    carried = spec.texts("podTargetLabels")
    limit = spec.optional("sampleLimit", int)
    endpoints = spec.each("podMetricsEndpoints")
    spec.finish()
    jobs = [_job(f"{namespace}/{monitor['metadata']['name']}", endpoint, keep=keep, carried=carried, limit=limit) for endpoint in endpoints]
    return [{**job, "job_name": f"{job['job_name']}/{position}"} for position, job in enumerate(jobs)]


def _job(name: str, endpoint: Fields, *, keep: list[Relabeling], carried: tuple[str, ...], limit: int | None) -> dict[str, Any]:
    port = endpoint.take("port", str)
    if endpoint.take("scheme", str, "http") != "http":
        endpoint.refuse("scheme", "is not http, which is all that the plane's Prometheus speaks. Give the metrics a port of their own.")
    job: dict[str, Any] = {
        "job_name": f"podMonitor/{name}",
        "honor_labels": endpoint.take("honorLabels", bool, False),
        "metrics_path": endpoint.take("path", str, "/metrics"),
        "file_sd_configs": [{"files": [TARGETS], "refresh_interval": "10s"}],
        "relabel_configs": [
            *keep,
            {"action": "keep", "source_labels": [f"{_META}pod_container_port_name"], "regex": re.escape(port)},
            {"source_labels": [f"{_META}namespace"], "target_label": "namespace"},
            {"source_labels": [f"{_META}pod_container_name"], "target_label": "container"},
            {"source_labels": [f"{_META}pod_name"], "target_label": "pod"},
            *({"source_labels": [_pod_label(key)], "target_label": _sanitised(key), "regex": "(.+)"} for key in carried),
            {"target_label": "job", "replacement": name},
            {"target_label": "endpoint", "replacement": port},
            *_relabelings(endpoint.each("relabelings")),
        ],
    }
    for field, key in (("interval", "scrape_interval"), ("scrapeTimeout", "scrape_timeout")):
        if (given := endpoint.optional(field, str)) is not None:
            job[key] = given
    if relabelings := _relabelings(endpoint.each("metricRelabelings")):
        job["metric_relabel_configs"] = relabelings
    if limit is not None:
        job["sample_limit"] = limit
    endpoint.finish()
    return job


def _namespaces(selector: Fields, own: str) -> list[Relabeling]:
    everywhere = selector.take("any", bool, False)
    named = selector.texts("matchNames") or (own,)
    selector.finish()
    return [] if everywhere else [{"action": "keep", "source_labels": [f"{_META}namespace"], "regex": "|".join(map(re.escape, named))}]


def _selected(selector: Fields) -> list[Relabeling]:
    found = [_match("keep", key, [value]) for key, value in sorted(selector.mapping("matchLabels").items())]
    for expression in selector.each("matchExpressions"):
        key, operator, values = expression.take("key", str), expression.take("operator", str), expression.texts("values")
        match operator:
            case "In" | "NotIn":
                found.append(_match("keep" if operator == "In" else "drop", key, list(values)))
            case "Exists" | "DoesNotExist":
                found.append({"action": "keep" if operator == "Exists" else "drop", "source_labels": [_pod_label(key, "labelpresent")], "regex": "true"})
            case _:
                expression.refuse("operator", f"is {operator!r}. Write In, NotIn, Exists or DoesNotExist.")
        expression.finish()
    selector.finish()
    return found


def _match(action: str, key: str, values: list[str]) -> Relabeling:
    return {"action": action, "source_labels": [_pod_label(key), _pod_label(key, "labelpresent")], "regex": f"({'|'.join(map(re.escape, values))});true"}


def _relabelings(given: list[Fields]) -> list[Relabeling]:
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    found = [{names.get(key, key): value for key, value in fields.rest(_RELABELING).items()} for fields in given]
    return [{**one, "action": one["action"].lower()} if "action" in one else one for one in found]


def _groups(manifest: Manifest) -> list[dict[str, Any]]:
    spec = Fields.of(manifest).inside("spec")
    groups = []
    for group in spec.each("groups"):
        rules = [rule.rest(_RULE) for rule in group.each("rules")]
        groups.append({**group.rest(frozenset({"name", "interval", "limit"})), "rules": rules})
    spec.finish()
    return groups


def _target(port: ScrapePort) -> dict[str, Any]:
    labels = {
        f"{_META}namespace": port.namespace, f"{_META}pod_name": port.pod, f"{_META}pod_container_name": port.container,
        f"{_META}pod_container_port_name": port.name, f"{_META}pod_container_port_number": str(port.port), f"{_META}pod_ip": port.address,
    }  # fmt: skip
    for key, value in port.labels.items():
        labels |= {_pod_label(key): value, _pod_label(key, "labelpresent"): "true"}
    return {"targets": [f"{port.address}:{port.port}"], "labels": labels}


def _pod_label(key: str, kind: str = "label") -> str:
    return f"{_META}pod_{kind}_{_sanitised(key)}"


def _sanitised(key: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


def _namespace(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", "default"))


def _yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=10_000)


def _replace(path: Path, text: str) -> bool:
    if path.is_file() and path.read_text() == text:
        return False
    write_bytes(path, text.encode())
    return True
