"""InferenceService → Deployment and Service, as KServe's controller makes them in Standard mode."""

import re
from dataclasses import dataclass
from typing import Any

from presage.manifests.expand.core import CONTAINER, POD, RUNTIME_POD
from presage.manifests.expand.merge import merged, merged_container
from presage.manifests.expand.storage import add_storage_initializer
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

_DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
_AUTOSCALER = "serving.kserve.io/autoscalerClass"
# Written for controllers and tools; KServe leaves the first out, the others say nothing about the Pod's life here.
_NOT_PASSED_ON = ("kubectl.kubernetes.io/last-applied-configuration",)
MAIN, TRANSFORMER = "kserve-container", "transformer-container"


@dataclass(frozen=True)
class Runtime:
    """A ServingRuntime, taken apart: `pod` holds the pod-level fields it gives."""

    name: str
    containers: list[dict[str, Any]]
    pod: dict[str, Any]
    labels: dict[str, str]
    annotations: dict[str, str]


def expand_inference_service(manifest: Manifest, parts: list[Manifest]) -> list[Manifest]:
    """The Deployment and the Service behind one InferenceService. parts: the ServingRuntimes and ClusterStorageContainers at hand."""
    metadata = manifest["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace")
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key not in _NOT_PASSED_ON}
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    predictor = spec.inside("predictor")
    spec.finish()
    whole.finish()

    _only(manifest, annotations, _DEPLOYMENT_MODE, "Standard")
    _only(manifest, annotations, _AUTOSCALER, "none")
    model = predictor.inside("model")
    runtime = _find_runtime(manifest, model.take("runtime", str), model.take("protocolVersion", str), model.inside("modelFormat"), parts)
    uri = model.take("storageUri", str)
    own = model.rest(CONTAINER - {"name"})
    storage_container = predictor.optional("storageContainerName", str)
    replicas = predictor.take("minReplicas", int, 1)
    strategy = predictor.take("deploymentStrategy", dict, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
    component_labels, component_annotations = predictor.take("labels", dict, {}), predictor.take("annotations", dict, {})
    further = [container.rest(CONTAINER) for container in predictor.each("containers")]
    pod = merged(runtime.pod, predictor.rest(POD))

    object_name = f"{name}-predictor"
    app = f"isvc.{object_name}"
    pod["containers"] = _containers(manifest, runtime, own, further)
    for container in pod["containers"]:
        container["env"] = _with_variable(container.get("env", []), "INFERENCE_SERVICE_NAME", name)
    add_storage_initializer(manifest, pod, uri, storage_container, [part for part in parts if part["kind"] == "ClusterStorageContainer"])
    _write_defaults(pod)
    labels = {
        **runtime.labels, **metadata.get("labels", {}), **component_labels,
        "serving.kserve.io/inferenceservice": name, "component": "predictor", "app": app,
    }
    described = {
        "name": object_name, **({"namespace": namespace} if namespace else {}), "labels": labels,
        "annotations": {**runtime.annotations, **annotations, **component_annotations},
    }
    template = {"metadata": {"labels": dict(labels), "annotations": dict(described["annotations"])}, "spec": pod}
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": described,
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "strategy": strategy, "template": template},
    }
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": dict(described),
        "spec": {"selector": {"app": app}, "ports": _service_ports(object_name, pod["containers"])},
    }
    return [deployment, service]


def _only(manifest: Manifest, annotations: dict[str, str], key: str, value: str) -> None:
    found = annotations.get(key)
    if found != value:
        raise FieldError(label(manifest), f"metadata.annotations[{key}]", f"is {found!r}; only {value!r} can be expanded. Write it.")


def _find_runtime(manifest: Manifest, name: str, protocol: str, model_format: Fields, parts: list[Manifest]) -> Runtime:
    place, wanted = label(manifest), model_format.take("name", str)
    version = model_format.optional("version", str)
    model_format.finish()
    namespace = manifest["metadata"].get("namespace")
    runtimes = [part for part in parts if part["kind"] == "ServingRuntime" and part["metadata"].get("namespace") == namespace]
    found = [part for part in runtimes if part["metadata"]["name"] == name]
    if not found:
        raise FieldError(place, "spec.predictor.model.runtime", f"names {name!r}; no ServingRuntime in its namespace is called so. Add it, or name another.")
    whole = Fields.of(found[0])
    spec = whole.inside("spec")
    whole.finish()
    if spec.take("disabled", bool, False):
        raise FieldError(place, "spec.predictor.model.runtime", f"names {name!r}, which is disabled. Enable it, or name another.")
    formats = [(one.take("name", str), one.optional("version", str)) for one in spec.each("supportedModelFormats")]
    if not any(known == wanted and (version is None or version == its) for known, its in formats):
        raise FieldError(place, "spec.predictor.model.modelFormat", f"is {wanted!r} version {version!r}; the runtime {name} supports {formats}. Name another.")
    protocols = spec.take("protocolVersions", list, [])
    if protocol not in protocols:
        raise FieldError(place, "spec.predictor.model.protocolVersion", f"is {protocol!r}; the runtime {name} speaks {', '.join(protocols)}. Name one.")
    if spec.take("multiModel", bool, False):
        raise FieldError(label(found[0]), "spec.multiModel", "is true; a Pod here holds one release. Set it false.")
    labels, annotations = spec.take("labels", dict, {}), spec.take("annotations", dict, {})
    containers = [container.rest(CONTAINER) for container in spec.each("containers")]
    return Runtime(name, containers, spec.rest(RUNTIME_POD), labels, annotations)


def _containers(manifest: Manifest, runtime: Runtime, own: dict[str, Any], further: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """kserve-container, transformer-container, the runtime's others, the predictor's others."""
    given = {container["name"]: container for container in runtime.containers}
    if MAIN not in given:
        raise FieldError(f"ServingRuntime {runtime.name}", "spec.containers", f"has no container named {MAIN}. KServe merges the model into that one.")
    added = {container["name"]: container for container in further}
    ordered = [_filled(merged_container(given.pop(MAIN), own), manifest["metadata"])]
    if TRANSFORMER in given or TRANSFORMER in added:
        base, over = given.pop(TRANSFORMER, {}), added.pop(TRANSFORMER, {})
        ordered.append(_filled(merged_container(base, over), manifest["metadata"]))
    if both := given.keys() & added.keys() | added.keys() & {MAIN}:
        raise FieldError(label(manifest), "spec.predictor.containers", f"names {', '.join(sorted(both))}, which the runtime has already. Rename it.")
    return ordered + list(given.values()) + list(added.values())


def _filled(value: Any, metadata: dict[str, Any]) -> Any:
    """Go-template placeholders of a runtime's container, replaced by the InferenceService's metadata."""
    if isinstance(value, dict):
        return {key: _filled(item, metadata) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, metadata) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value

    def of(match: re.Match[str]) -> str:
        field, _, key = match[1].partition(".")
        source = {"Name": metadata["name"], "Namespace": metadata.get("namespace", "")}.get(field) if not key else (metadata.get(field.lower()) or {}).get(key)
        if source is None or (key and field not in ("Annotations", "Labels")):
            raise FieldError(f"InferenceService {metadata['name']}", "metadata", f"has nothing for the placeholder {match[0]} of its runtime. Add it.")
        return str(source)

    return re.sub(r"\{\{\s*\.(.*?)\s*\}\}", of, value)


def _with_variable(env: list[dict[str, Any]], name: str, value: str) -> list[dict[str, Any]]:
    return [*(item for item in env if item["name"] != name), {"name": name, "value": value}]


def _write_defaults(pod: dict[str, Any]) -> None:
    """What KServe itself fills in; the API server's own defaults are not written."""
    defaults: dict[str, Any] = {
        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "securityContext": {},
        "schedulerName": "default-scheduler",
    }
    for field, value in defaults.items():
        pod.setdefault(field, value)
    for container in pod["containers"]:
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "IfNotPresent")
        if container["name"] in (MAIN, TRANSFORMER) and "readinessProbe" not in container:
            port = container["ports"][0]["containerPort"] if container.get("ports") else 8080
            container["readinessProbe"] = {"tcpSocket": {"port": port}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def _service_ports(object_name: str, containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Port 80 to the first port of the transformer, else of the first container; further ports keep their number."""
    chosen = next((container for container in containers if container["name"] == TRANSFORMER), containers[0])
    declared = chosen.get("ports") or [{"name": object_name, "containerPort": 8080}]
    ports = []
    for position, port in enumerate(declared):
        number, name = port["containerPort"], port.get("name")
        ports.append({
            **({"name": name} if name else {}), "port": 80 if position == 0 else number, "targetPort": number, "protocol": port.get("protocol", "TCP"),
            **({"appProtocol": "kubernetes.io/h2c"} if name and ("grpc" in name or "h2c" in name) else {}),
        })
    return ports
