"""KEDA's ScaledObject of one predictor, as KServe's controller makes it for class keda.

KServe passes on less than it takes. Of `behavior` only stabilizationWindowSeconds arrives (else those of KServe's ConfigMap), of an external
target only `value`, without its type: KEDA divides by the replicas (AverageValue), so it is a threshold for each of them. No
pollingInterval, cooldown, activation threshold or fallback is ever written.
"""

import re
from typing import Any

from presage.manifests.expand.predictor import Predictor
from presage.manifests.expand.refusals import NotAdmitted, NotExpanded
from presage.manifests.expand.settings import Settings
from presage.manifests.fields import Fields
from presage.manifests.objects import Manifest

GROUP, VERSION = "keda.sh", "v1alpha1"
_NUMBER = re.compile(r"\d+(\.\d+)?|\.\d+")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def scaled_object_of(place: str, predictor: Predictor, metadata: dict[str, Any], settings: Settings, *, least: int, most: int) -> Manifest:
    """least, most: replicas, most of 0 where it is not written. Raises FieldError for what KServe's webhook refuses, and for what would stop it."""
    scaling = Fields(place, predictor.path, predictor.scaling)
    if "scaleMetric" in scaling:
        raise NotAdmitted(place, f"{predictor.path}.scaleMetric", "is refused with class keda. Write autoScaling.metrics.")
    scaling.optional("scaleTarget", object)  # of no effect
    wished = scaling.inside("autoScaling")
    windows = _windows(wished.inside("behavior"), settings)
    triggers = [_trigger(metric) for metric in wished.each("metrics")]
    wished.finish()
    if not triggers:
        why = "is empty: the ScaledObject would have no triggers, which KEDA refuses, and KServe would reconcile nothing of this object any more."
        raise NotAdmitted(place, f"{predictor.path}.autoScaling.metrics", f"{why} Write metrics, or autoscalerClass: none in its predictor's annotations.")
    if not least and all(trigger["type"] in ("cpu", "memory") for trigger in triggers):
        raise NotAdmitted(place, f"{predictor.path}.minReplicas", "is 0, and cpu or memory of nobody never asks for the first. Write 1, or an external metric.")
    spec: dict[str, Any] = {
        "scaleTargetRef": {"name": metadata["name"]}, "minReplicaCount": least, "maxReplicaCount": max(most, least), "triggers": triggers,
    }  # fmt: skip
    if windows:
        behavior = {name: {"stabilizationWindowSeconds": seconds} for name, seconds in windows.items()}
        spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": behavior}, "scalingModifiers": {}}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "ScaledObject", "metadata": metadata, "spec": spec}


def _windows(behavior: Fields, settings: Settings) -> dict[str, int]:
    """Stabilisation in seconds by direction. KServe drops policies, selectPolicy and tolerance in silence: here they are said."""
    found: dict[str, int] = {}
    for name, default in (("scaleDown", settings.calm_down), ("scaleUp", settings.calm_up)):
        rules = behavior.inside(name)
        for dropped in ("policies", "selectPolicy", "tolerance"):
            if dropped in rules:
                raise NotExpanded(rules.place, f"{rules.path}.{dropped}", "is dropped by KServe in silence. Remove it: only the windows arrive.")
        seconds = rules.optional("stabilizationWindowSeconds", int)
        rules.finish()
        if (seconds := default if seconds is None else seconds) is not None:
            found[name] = seconds
    behavior.finish()
    return found


def _trigger(metric: Fields) -> dict[str, Any]:
    kind = metric.take("type", str)
    if kind == "Resource":
        resource = metric.inside("resource")
        metric.finish()
        return _resource(resource)
    if kind == "External":
        external = metric.inside("external")
        metric.finish()
        return _external(external)
    if kind == "PodMetric":
        raise NotExpanded(metric.place, f"{metric.path}.type", "is 'PodMetric', OpenTelemetry's scaler, which is not expanded. Write External (Prometheus).")
    raise NotAdmitted(metric.place, f"{metric.path}.type", f"is {kind!r}; class keda knows Resource, External and PodMetric. Write one.")


def _resource(resource: Fields) -> dict[str, Any]:
    name, target = resource.take("name", str), resource.inside("target")
    resource.finish()
    kind, share = target.take("type", str), target.optional("averageUtilization", int)
    average = target.optional("averageValue", object)
    target.optional("value", object)
    target.finish()
    path = f"{target.path}.type"
    if name not in ("cpu", "memory"):
        raise NotAdmitted(resource.place, f"{resource.path}.name", f"is {name!r}; it may be cpu or memory. Write one.")
    if kind != "Utilization" and not (name == "memory" and kind == "AverageValue"):
        allowed = "Utilization" if name == "cpu" else "Utilization or AverageValue"
        raise NotAdmitted(resource.place, path, f"is {kind!r}; for {name} KServe takes {allowed}. Write that.")
    if kind == "AverageValue":
        if _amount(str(average)) < 2**20:
            raise NotAdmitted(resource.place, f"{target.path}.averageValue", f"is {average!r}; KServe wants 1Mi or more. Write an amount of memory.")
        return {"type": name, "metadata": {"value": str(average)}, "metricType": kind}
    if share is None or not 1 <= share <= 100:
        raise NotAdmitted(resource.place, f"{target.path}.averageUtilization", f"is {share}. Write a percentage of the request, 1 to 100.")
    return {"type": name, "metadata": {"value": str(share)}, "metricType": kind}


def _external(external: Fields) -> dict[str, Any]:
    metric, target, authentication = external.inside("metric"), external.inside("target"), external.inside("authenticationRef")
    external.finish()
    if (backend := metric.take("backend", str)) != "prometheus":
        raise NotExpanded(metric.place, f"{metric.path}.backend", f"is {backend!r}, of which KServe passes on less than KEDA's scaler wants. Write prometheus.")
    address, query, namespace = metric.take("serverAddress", str), metric.take("query", str, ""), metric.take("namespace", str, "")
    metric.finish()
    if not query:
        raise NotAdmitted(metric.place, f"{metric.path}.query", "is empty. Write the expression whose value is shared among the replicas.")
    found: dict[str, Any] = {"type": backend, "metadata": {"serverAddress": address, "query": query, "threshold": _threshold(target)}}
    if namespace:
        found["metadata"]["namespace"] = namespace
    named = authentication.inside("authenticationRef")
    if modes := authentication.take("authModes", str, ""):
        found["metadata"]["authModes"] = modes
    authentication.finish()
    if name := named.take("name", str, ""):
        found["authenticationRef"] = {"name": name}
    named.finish()
    return found


def _threshold(target: Fields) -> str:
    kind, value = target.take("type", str), target.optional("value", object)
    average, share = target.optional("averageValue", object), target.optional("averageUtilization", int)
    target.finish()
    if value is None:
        raise NotAdmitted(target.place, f"{target.path}.value", "is missing; KServe takes the threshold from nowhere else. Write it, for each replica.")
    missing = {"AverageValue": average is None, "Utilization": share is None, "Value": False}.get(kind)
    if missing is None or missing:
        why = f"is {kind!r}, and KServe's webhook then wants another field than value, which is the one it uses. Write Value."
        raise NotAdmitted(target.place, f"{target.path}.type", why)
    text = str(value)
    if isinstance(value, bool) or not _NUMBER.fullmatch(text) or not float(text):
        raise NotAdmitted(target.place, f"{target.path}.value", f"is {value!r}; KEDA takes a plain number above 0, no quantity like 500m. Write one.")
    return text


def _amount(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(k|[MGT]|[KMGT]i)?", text)
    return float(match[1]) * _FACTORS[match[2] or ""] if match else 0.0
