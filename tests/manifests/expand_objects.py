"""One InferenceService with all that it is expanded with, changed by paths, and what comes out of it.

    Case({"predictor|timeout": 30}).route("incident")
"""

import json
from copy import deepcopy
from typing import Any

from presage.manifests.expand import expand
from presage.manifests.objects import Manifest

RESTRICTED = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True, "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
SIZES = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
MODE, CLASS = "serving.kserve.io/deploymentMode", "serving.kserve.io/autoscalerClass"
DROP = object()

SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
    "metadata": {"name": "incident", "namespace": "models", "annotations": {MODE: "Standard", CLASS: "none"}},
    "spec": {
        "predictor": {
            "minReplicas": 2, "serviceAccountName": "incident", "storageContainerName": "gate",
            "model": {
                "modelFormat": {"name": "presage", "version": "1"}, "runtime": "cpu", "protocolVersion": "v2",
                "storageUri": "presage://incident:1@sha256:" + "a" * 64, "args": ["--region=eu"],
            },
        }
    },
}  # fmt: skip
RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime", "metadata": {"name": "cpu", "namespace": "models"},
    "spec": {
        "supportedModelFormats": [{"name": "presage", "version": "1", "autoSelect": False}], "protocolVersions": ["v2"],
        "containers": [
            {
                "name": "kserve-container", "image": "presage/serving:1", "command": ["python", "-m", "inference.server"], "args": ["--model_name={{.Name}}"],
                "env": [{"name": "THREADS", "value": "1"}], "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "resources": SIZES, "securityContext": RESTRICTED,
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    },
}  # fmt: skip
STORAGE = {
    "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ClusterStorageContainer", "metadata": {"name": "gate"},
    "spec": {
        "workloadType": "initContainer", "supportedUriFormats": [{"prefix": "presage://"}],
        "container": {
            "name": "storage-initializer", "image": "presage/serving:1", "command": ["python", "-m", "presage.package.gate"],
            "env": [{"name": "KEYS", "value": "/keys"}], "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
            "resources": SIZES, "securityContext": RESTRICTED,
        },
    },
}  # fmt: skip
SETTINGS = {
    "deploy": {"defaultDeploymentMode": "Standard"},
    "ingress": {"enableGatewayApi": True, "kserveIngressGateway": "edge/front", "ingressGateway": "edge/front", "ingressDomain": "example.org"},
    "security": {"autoMountServiceAccountToken": False},
}  # fmt: skip


def canary(percent: int = 5, name: str = "canary", **predictor: Any) -> dict[str, Any]:
    """A canary entry with another release."""
    model = {"name": "kserve-container", "modelFormat": {"name": "presage"}, "storageUri": "presage://incident:2@sha256:" + "b" * 64}
    return {"trafficPercent": percent, "predictor": {"name": name, "model": model, **predictor}}


class Case:
    """changes: value by path. A path starts at `isvc`, `predictor`, `model`, `runtime`, `main` (the runtime's container), `storage` or `settings`;
    `|` separates its steps, `+` appends to a list, DROP removes."""

    def __init__(self, changes: dict[str, Any] | None = None, further: list[Manifest] | None = None) -> None:
        self.isvc, self.runtime, self.storage = deepcopy(SERVICE), deepcopy(RUNTIME), deepcopy(STORAGE)
        self.settings: Any = deepcopy(SETTINGS)
        for path, value in (changes or {}).items():
            self._change(path.split("|"), value)
        self.objects = [self.isvc, self.runtime, self.storage, *deepcopy(further or [])]
        if self.settings is not None:
            data = {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.settings.items()}
            metadata = {"name": "inferenceservice-config", "namespace": "kserve"}
            self.objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    def _change(self, steps: list[str], value: Any) -> None:
        roots = {
            "isvc": self.isvc, "predictor": self.isvc["spec"]["predictor"], "model": self.isvc["spec"]["predictor"].get("model"), "runtime": self.runtime,
            "main": self.runtime["spec"]["containers"][0], "storage": self.storage, "settings": self.settings,
        }  # fmt: skip
        if steps == ["settings"]:
            self.settings = value
            return
        place: Any = roots[steps[0]]
        for step in steps[1:-1]:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        if value is DROP:
            del place[steps[-1]]
        elif steps[-1] == "+":
            place.append(deepcopy(value))
        else:
            place[steps[-1]] = deepcopy(value)

    def expanded(self) -> list[Manifest]:
        return [found for found in expand(self.objects) if found["kind"] != "ConfigMap"]

    def names(self) -> list[str]:
        return [f"{found['kind']} {found['metadata']['name']}" for found in self.expanded()]

    def one(self, kind: str, name: str = "incident-predictor") -> Manifest:
        return next(found for found in self.expanded() if (found["kind"], found["metadata"]["name"]) == (kind, name))

    def deployment(self, name: str = "incident-predictor") -> Manifest:
        return self.one("Deployment", name)

    def pod(self, name: str = "incident-predictor") -> dict[str, Any]:
        return self.deployment(name)["spec"]["template"]["spec"]

    def container(self, name: str = "kserve-container", of: str = "incident-predictor") -> dict[str, Any]:
        pod = self.pod(of)
        return next(found for found in [*pod["containers"], *pod["initContainers"]] if found["name"] == name)

    def ports(self, name: str = "incident-predictor") -> list[dict[str, Any]]:
        return self.one("Service", name)["spec"]["ports"]

    def route(self, name: str = "incident") -> Manifest:
        return self.one("HTTPRoute", name)

    def backends(self, name: str = "incident") -> list[tuple[str, int, int | None]]:
        """(Service, port, weight) of the route's last rule."""
        return [(found["name"], found["port"], found.get("weight")) for found in self.route(name)["spec"]["rules"][-1]["backendRefs"]]
