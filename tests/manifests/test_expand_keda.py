"""What KServe's controller makes of autoScaling with class keda: a ScaledObject, with what it drops, and what would stop it (read from its source)."""

import json
import os
from pathlib import Path

import jsonschema_rs
import pytest
from expand_objects import CLASS, DROP, Case, canary

from presage.manifests.expand.refusals import NotAdmitted, NotExpanded
from presage.manifests.fields import FieldError

KEDA = {f"isvc|metadata|annotations|{CLASS}": "keda"}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
ADDRESS = "http://prometheus-operated.monitoring.svc:9090"


def external(value="50", kind="Value", query="sum(rate(requests_total[2m]))", **over):
    metric = {"backend": "prometheus", "serverAddress": ADDRESS, "query": query, **over.pop("metric", {})}
    return {"type": "External", "external": {"metric": metric, "target": {"type": kind, "value": value, **over.pop("target", {})}, **over}}


def scaled(*metrics, **changes):
    return {**KEDA, "predictor|autoScaling": {"metrics": list(metrics)}, "predictor|maxReplicas": 6, **changes}


def spec(case):
    return case.one("ScaledObject")["spec"]


def triggers(case):
    return spec(case)["triggers"]


def fact(text, changes, look, expected):
    return pytest.param(changes, look, expected, id=text)


CANARIES = {"isvc|spec|canary": [canary(50, annotations={CLASS: "none"})]}
TARGET = {"type": "prometheus", "metadata": {"serverAddress": ADDRESS, "query": "sum(rate(requests_total[2m]))", "threshold": "50"}}
FACTS = [
    fact("one ScaledObject, named as the Deployment, in the HorizontalPodAutoscaler's place", scaled(CPU), lambda case: case.names()[:3],
         ["Deployment incident-predictor", "Service incident-predictor", "ScaledObject incident-predictor"]),
    fact("the Deployment says no replicas", scaled(CPU), lambda case: "replicas" in case.deployment()["spec"], False),
    fact("it shares the Deployment's labels and annotations", scaled(CPU),
         lambda case: case.one("ScaledObject")["metadata"] == case.deployment()["metadata"], True),
    fact("whole: target, bounds, triggers, windows as KServe ships them", scaled(CPU, external()), spec, {
        "scaleTargetRef": {"name": "incident-predictor"}, "minReplicaCount": 2, "maxReplicaCount": 6,
        "triggers": [{"type": "cpu", "metadata": {"value": "70"}, "metricType": "Utilization"}, TARGET],
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 300},
                                                                    "scaleUp": {"stabilizationWindowSeconds": 0}}}, "scalingModifiers": {}}}),
    fact("no maxReplicas: as many as at least", scaled(CPU, **{"predictor|maxReplicas": 0}),
         lambda case: spec(case)["maxReplicaCount"], 2),
    fact("no minReplicas: one", scaled(CPU, **{"predictor|minReplicas": DROP}), lambda case: spec(case)["minReplicaCount"], 1),
    fact("minReplicas 0 stays 0, beside an external metric", scaled(external(), **{"predictor|minReplicas": 0}), lambda case: spec(case)["minReplicaCount"], 0),
    fact("an external target's type is dropped", scaled(external(kind="AverageValue", target={"averageValue": "9"})), triggers, [TARGET]),
    fact("a number is written as text", scaled(external(value=50)), triggers, [TARGET]),
    fact("memory by amount, as it is written",
         scaled({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1.5Gi"}}}), triggers,
         [{"type": "memory", "metadata": {"value": "1.5Gi"}, "metricType": "AverageValue"}]),
    fact("authentication names a TriggerAuthentication",
         scaled(external(authenticationRef={"authModes": "bearer", "authenticationRef": {"name": "prometheus"}})), triggers,
         [{**TARGET, "metadata": {**TARGET["metadata"], "authModes": "bearer"}, "authenticationRef": {"name": "prometheus"}}]),
    fact("a namespace for a Prometheus of several tenants", scaled(external(metric={"namespace": "models"})),
         lambda case: triggers(case)[0]["metadata"]["namespace"], "models"),
    fact("of behavior the windows", {**scaled(CPU), "predictor|autoScaling|behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
         lambda case: spec(case)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
         {"scaleDown": {"stabilizationWindowSeconds": 60}, "scaleUp": {"stabilizationWindowSeconds": 0}}),
    fact("windows of KServe's ConfigMap", {**scaled(CPU), "settings|autoscaler": {"scaleDownStabilizationWindowSeconds": "30"}},
         lambda case: spec(case)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"], {"scaleDown": {"stabilizationWindowSeconds": 30}}),
    fact("no window at all where the ConfigMap has none", {**scaled(CPU), "settings|autoscaler": {}}, lambda case: "advanced" in spec(case), False),
    fact("a canary has none, and its replicas are taken off the least", {**scaled(CPU), **CANARIES},
         lambda case: ([name for name in case.names() if name.startswith("Scaled")], spec(case)["minReplicaCount"],
                       case.deployment("incident-canary-predictor")["spec"]["replicas"]), (["ScaledObject incident-predictor"], 1, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "look", "expected"), FACTS)
def test_what_kserve_makes_with_class_keda(changes, look, expected):
    assert look(Case(changes)) == expected


def refused(text, changes, kind, says):
    return pytest.param(changes, kind, says, id=text)


def resource(name="cpu", **target):
    return {"type": "Resource", "resource": {"name": name, "target": target}}


REFUSALS = [
    refused("no autoScaling", KEDA, NotAdmitted, "no triggers"),
    refused("no metrics", scaled(), NotAdmitted, "no triggers"),
    refused("a canary that inherits class keda", {**scaled(CPU), "isvc|spec|canary": [canary(50)]}, NotAdmitted, "no triggers"),
    refused("scaleMetric", scaled(CPU, **{"predictor|scaleMetric": "cpu"}), NotAdmitted, "refused with class keda"),
    refused("a type that nobody knows", scaled({"type": "Pods"}), NotAdmitted, "'Pods'"),
    refused("another resource", scaled(resource("gpu", type="Utilization", averageUtilization=5)), NotAdmitted, "cpu or memory"),
    refused("cpu by amount", scaled(resource(type="AverageValue", averageValue="1")), NotAdmitted, "KServe takes Utilization"),
    refused("cpu without a percentage", scaled(resource(type="Utilization")), NotAdmitted, "1 to 100"),
    refused("more than all of the request", scaled(resource(type="Utilization", averageUtilization=120)), NotAdmitted, "1 to 100"),
    refused("next to no memory", scaled(resource("memory", type="AverageValue", averageValue="512Ki")), NotAdmitted, "1Mi"),
    refused("no query", scaled(external(query="")), NotAdmitted, "query"),
    refused("no threshold", scaled(external(value=None)), NotAdmitted, "nowhere else"),
    refused("AverageValue with value alone, as examples have it", scaled(external(kind="AverageValue")), NotAdmitted, "Write Value"),
    refused("Utilization of a query", scaled(external(kind="Utilization")), NotAdmitted, "Write Value"),
    refused("a quantity, which KEDA cannot read", scaled(external(value="500m")), NotAdmitted, "plain number"),
    refused("a threshold of 0", scaled(external(value="0")), NotAdmitted, "above 0"),
    refused("a threshold that is a truth", scaled(external(value=True)), NotAdmitted, "plain number"),
    refused("graphite, without the time that KEDA wants", scaled(external(metric={"backend": "graphite"})), NotExpanded, "graphite"),
    refused("OpenTelemetry's scaler", scaled({"type": "PodMetric", "podmetric": {}}), NotExpanded, "PodMetric"),
    refused("no address", scaled(external(metric={"serverAddress": None})), FieldError, "serverAddress"),
    refused("nobody, and cpu alone to wake them", scaled(CPU, **{"predictor|minReplicas": 0}), NotAdmitted, "never asks for the first"),
    refused("policies of behavior", {**scaled(CPU), "predictor|autoScaling|behavior": {"scaleUp": {"policies": []}}}, NotExpanded, "in silence"),
    refused("scaleMetricType", scaled(CPU, **{"predictor|scaleMetricType": "AverageValue"}), NotExpanded, "drops it"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "kind", "says"), REFUSALS)
def test_what_class_keda_is_refused_says_why(changes, kind, says):
    with pytest.raises(kind, match=says):
        Case(changes).expanded()


@pytest.mark.parametrize("path", ["flavour", "metrics|0|flavour", "metrics|1|external|flavour", "metrics|1|external|target|flavour", "behavior|flavour"])
def test_a_field_that_is_not_known_is_an_error(path):
    with pytest.raises(FieldError, match="flavour"):
        Case({**scaled(CPU, external()), "predictor|autoScaling|behavior": {"scaleUp": {}}, f"predictor|autoScaling|{path}": "x"}).expanded()


@pytest.mark.skipif("PRESAGE_SCHEMAS" not in os.environ, reason="needs the schemas of PRESAGE_SCHEMAS")
@pytest.mark.parametrize("changes", [param.values[0] for param in FACTS], ids=[param.id for param in FACTS])
def test_every_scaled_object_holds_to_kedas_schema(changes):
    schema = jsonschema_rs.validator_for(json.loads((Path(os.environ["PRESAGE_SCHEMAS"]) / "keda.sh" / "scaledobject_v1alpha1.json").read_text()))
    assert [error.message for error in schema.iter_errors(Case(changes).one("ScaledObject"))] == []
