"""Deployment, Service and autoscaler of one predictor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from presage.manifests.expand.pod import serving_container
from presage.manifests.expand.predictor import Predictor
from presage.manifests.expand.refusals import NotAdmitted
from presage.manifests.expand.scaledobject import scaled_object_of
from presage.manifests.expand.settings import Settings
from presage.manifests.expand.webhook import CLASS
from presage.manifests.fields import Fields
from presage.manifests.objects import Manifest

_LABEL = 63  # characters of a label's value, of a Service's name, of a host's label
_UTILIZATION = 80


@dataclass(frozen=True)
class Replicas:
    """least: replicas of class none, minimum of hpa and keda; None where the predictor does not say. A canary's are fixed."""

    least: int | None
    most: int = 0


def describe(place: str, name: str, namespace: str | None, labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    """The metadata that Deployment, Service, autoscaler and Pods share; the label `app` alone selects. Raises NotAdmitted for a name too long."""
    app = f"isvc.{name}"
    if len(app) > _LABEL:
        problem = f"gives the label app={app} of {len(app)} characters; {_LABEL} fit. Shorten the name of the service or of its canary."
        raise NotAdmitted(place, "metadata.name", problem)
    return {
        "name": name, **({"namespace": namespace} if namespace else {}), "labels": {**labels, "app": app}, "annotations": dict(annotations),
    }  # fmt: skip


def deployment_of(metadata: dict[str, Any], pod: dict[str, Any], strategy: dict[str, Any] | None, replicas: Replicas, settings: Settings) -> Manifest:
    """strategy None: KServe's settings, else 25 % and 25 %, and then the history's length and the deadline are written too."""
    labels, annotations = metadata["labels"], metadata["annotations"]
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": labels["app"]}}}
    if annotations.get(CLASS) == "none" and replicas.least is not None:
        spec["replicas"] = replicas.least
    if strategy is not None:
        spec["strategy"] = strategy
    else:
        wished = settings.strategy if settings.default_mode == "Standard" and settings.strategy else {}
        spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%", **wished}}
        spec |= {"revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
    spec["template"] = {"metadata": {"labels": dict(labels), "annotations": dict(annotations)}, "spec": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def service_of(metadata: dict[str, Any], pod: Mapping[str, Any], settings: Settings) -> Manifest:
    """Port 80 to the first port of the serving container; its further ports keep their number."""
    declared = serving_container(pod).get("ports") or [{"name": metadata["name"], "containerPort": 8080}]
    ports = []
    for position, port in enumerate(declared):
        number, name = port["containerPort"], port.get("name")
        ports.append({
            **({"name": name} if name else {}), "port": 80 if position == 0 else number, "targetPort": number, "protocol": port.get("protocol", "TCP"),
            **({"appProtocol": "kubernetes.io/h2c"} if name and ("grpc" in name or "h2c" in name) else {}),
        })  # fmt: skip
    spec = {"selector": {"app": metadata["labels"]["app"]}, "ports": ports, **({"clusterIP": "None"} if settings.headless else {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def autoscaler_of(place: str, predictor: Predictor, metadata: dict[str, Any], replicas: Replicas, settings: Settings) -> list[Manifest]:
    """A HorizontalPodAutoscaler for class hpa (also where no class is written), a ScaledObject for keda; none for external and none. Raises FieldError."""
    kind = metadata["annotations"].get(CLASS, "hpa")
    if kind in ("external", "none"):
        return []
    if kind == "keda":
        least = 1 if replicas.least is None else replicas.least
        return [scaled_object_of(place, predictor, metadata, settings, least=least, most=replicas.most)]
    least = max(1 if replicas.least is None else replicas.least, 1)
    metrics = _metrics(place, predictor)
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"]},
        "minReplicas": least, "maxReplicas": max(replicas.most, least), **({"metrics": metrics} if metrics else {}), "behavior": {},
    }  # fmt: skip
    return [{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}]


def _metrics(place: str, predictor: Predictor) -> list[dict[str, Any]]:
    scaling = Fields(place, predictor.path, predictor.scaling)
    name, target, wished = scaling.take("scaleMetric", str, "cpu"), scaling.optional("scaleTarget", int), scaling.inside("autoScaling")
    if name not in ("cpu", "memory"):
        raise NotAdmitted(place, f"{predictor.path}.scaleMetric", f"is {name!r}, which is Knative's; class hpa knows cpu and memory. Write one.")
    if target is not None and not 1 <= target <= 100:
        raise NotAdmitted(place, f"{predictor.path}.scaleTarget", f"is {target}. Write a percentage, 1 to 100.")
    if "autoScaling" not in predictor.scaling:
        utilization = target if target is not None else _UTILIZATION if name == "cpu" else None
        return [] if utilization is None else [_resource(name, {"type": "Utilization", "averageUtilization": utilization})]
    wished.optional("behavior", dict)  # KServe leaves it out with class hpa
    metrics = [_read_metric(metric) for metric in wished.each("metrics")]
    wished.finish()
    return metrics


def _read_metric(metric: Fields) -> dict[str, Any]:
    if (kind := metric.take("type", str)) != "Resource":
        raise NotAdmitted(metric.place, f"{metric.path}.type", f"is {kind!r}; class hpa knows Resource alone. Write that.")
    resource = metric.inside("resource")
    metric.finish()
    name, target = resource.take("name", str), resource.inside("target")
    resource.finish()
    wanted = target.raw()
    if name == "cpu":
        return _resource(name, {"type": "Utilization", "averageUtilization": wanted.get("averageUtilization", _UTILIZATION)})
    key = {"Utilization": "averageUtilization", "AverageValue": "averageValue"}.get(str(wanted.get("type")))
    if name != "memory" or key is None or key not in wanted:
        why = "is not cpu, nor memory with Utilization or AverageValue and its amount. Write one of these."
        raise NotAdmitted(metric.place, f"{metric.path}.resource", why)
    return _resource(name, {"type": wanted["type"], key: wanted[key]})


def _resource(name: str, target: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}
