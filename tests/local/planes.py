"""Builders of small overlays for the plane's tests: real manifests, real programs (python -m http.server); and how a plane is asked."""

import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from presage.local.record import read_record

HTTP = {"command": ["python", "-m", "http.server"], "args": ["--bind", "0.0.0.0", "8080"]}
ALIVE = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}


def container(name: str = "web", **fields: Any) -> dict[str, Any]:
    """A container that serves HTTP on 8080, ready once it answers; any field may be replaced."""
    return {"name": name, "image": "presage/serving:0.1.0", "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": ALIVE, **HTTP} | fields


def deployment(name: str = "web", containers: list[dict[str, Any]] | None = None, **pod: Any) -> dict[str, Any]:
    spec = {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 5, "containers": containers or [container(name)], **pod}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "presage"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": spec}},
    }


def claim(name: str, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "presage", "annotations": annotations},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def config_map(name: str, data: dict[str, str], **annotations: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "presage", "annotations": annotations}, "data": data}


def manifests(folder: Path, *objects: dict[str, Any]) -> Path:
    """A manifests/ folder whose overlay `local` holds these objects as its one application."""
    place = folder / "manifests" / "overlays" / "local" / "web"
    place.mkdir(parents=True, exist_ok=True)
    (place / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    (place / "kustomization.yaml").write_text("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [objects.yaml]\n")
    return folder / "manifests"


def eventually(claim_holds, seconds=15.0):
    """Poll until it holds: the processes say when, not the clock."""
    until = time.monotonic() + seconds
    while not (found := claim_holds()):
        assert time.monotonic() < until, "did not come true in time"
        time.sleep(0.02)
    return found


def get(plane, path="/", name="web"):
    with urllib.request.urlopen(f"http://{plane.process(name).address}{path}", timeout=5) as answer:
        return answer.read().decode()


def pid_of(state, name="web"):
    return next(process.pid for process in record_of(state).processes if process.name == name)


def record_of(state):
    return read_record(state.plane)


def web(*code, **fields):
    """A container that first runs these lines of Python, then serves its working folder."""
    script = "\n".join([*code, "import http.server, sys", "http.server.test(http.server.SimpleHTTPRequestHandler, bind=sys.argv[1], port=8080)"])
    return container(command=["python", "-c", script], args=["0.0.0.0"], **fields)
