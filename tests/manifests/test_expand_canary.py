"""What KServe's controller makes of canary entries: objects, replicas, shares, and what it ignores (read from its source, 0.21)."""

import pytest
from expand_objects import CLASS, Case, canary

from presage.manifests.expand.merge import laid_over
from presage.manifests.expand.refusals import NotAdmitted, NotExpanded

CANARY = "incident-canary-predictor"
PROBED = {"main|readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 2}}
ROLLED = {"predictor|deploymentStrategy": {"type": "Recreate"}}


def with_canary(*entries, **changes):
    return {**changes, "isvc|spec|canary": list(entries)}


def fact(text, changes, look, expected):
    return pytest.param(changes, look, expected, id=text)


FACTS = [
    fact("a Deployment and a Service of its own, behind the same routes", with_canary(canary()), Case.names,
         ["Deployment incident-predictor", "Service incident-predictor", f"Deployment {CANARY}", f"Service {CANARY}",
          "HTTPRoute incident-predictor", "HTTPRoute incident"]),
    fact("the stable has the rest of the traffic", with_canary(canary(5)), Case.backends, [("incident-predictor", 80, 95), (CANARY, 80, 5)]),
    fact("in both routes", with_canary(canary(5)), lambda case: case.backends("incident-predictor"), [("incident-predictor", 80, 95), (CANARY, 80, 5)]),
    fact("several canaries share", with_canary(canary(5), canary(20, "blue")), Case.backends,
         [("incident-predictor", 80, 75), (CANARY, 80, 5), ("incident-blue-predictor", 80, 20)]),
    fact("100 %: the stable keeps its place with weight 0", with_canary(canary(100)), Case.backends, [("incident-predictor", 80, 0), (CANARY, 80, 100)]),
    fact("0 %: ready, and without traffic", with_canary(canary(0)), Case.backends, [("incident-predictor", 80, 100), (CANARY, 80, 0)]),
    fact("each rule is split, gRPC's too", {**with_canary(canary(5)), "main|ports|+": {"name": "grpc", "containerPort": 8081}},
         lambda case: [[one.get("weight") for one in rule["backendRefs"]] for rule in case.route()["spec"]["rules"]], [[95, 5], [95, 5]]),
    fact("replicas are ceil(stable minReplicas × percent / 100)", {**with_canary(canary(34)), "predictor|minReplicas": 6},
         lambda case: case.deployment(CANARY)["spec"]["replicas"], 3),
    fact("or minReplicas", {**with_canary(canary(5, minReplicas=2)), "predictor|minReplicas": 6},
         lambda case: case.deployment(CANARY)["spec"]["replicas"], 2),
    fact("ready canaries are subtracted from the stable's", {**with_canary(canary(34)), "predictor|minReplicas": 6},
         lambda case: case.deployment()["spec"]["replicas"], 3),
    fact("never below 1", {**with_canary(canary(100)), "predictor|minReplicas": 2}, lambda case: case.deployment()["spec"]["replicas"], 1),
    fact("another storageUri", with_canary(canary()), lambda case: case.container("storage-initializer", CANARY)["args"][0][:20], "presage://incident:2"),
    fact("maps merge: what the canary does not say is the stable's", with_canary(canary()),
         lambda case: (case.container(of=CANARY)["args"], case.pod(CANARY)["serviceAccountName"]), (["--model_name=incident", "--region=eu"], "incident")),
    fact("lists replace", with_canary(canary(model={**canary()["predictor"]["model"], "args": ["--region=us"]})),
         lambda case: case.container(of=CANARY)["args"], ["--model_name=incident", "--region=us"]),
    fact("false never overrides", {**with_canary(canary(automountServiceAccountToken=False)), "predictor|automountServiceAccountToken": True},
         lambda case: case.pod(CANARY)["automountServiceAccountToken"], True),
    fact("its labels and annotations merge over the stable's",
         {**with_canary(canary(labels={"b": "canary"}, annotations={CLASS: "none"})), "predictor|labels": {"a": "stable", "b": "stable"}},
         lambda case: {key: case.deployment(CANARY)["metadata"]["labels"][key] for key in "ab"}, {"a": "stable", "b": "canary"}),
    fact("class hpa: its own autoscaler, fixed", {**with_canary(canary(50)), f"isvc|metadata|annotations|{CLASS}": "hpa", "predictor|maxReplicas": 9},
         lambda case: [(case.one("HorizontalPodAutoscaler", name)["spec"]["minReplicas"], case.one("HorizontalPodAutoscaler", name)["spec"]["maxReplicas"])
                       for name in ("incident-predictor", CANARY)], [(1, 9), (1, 1)]),
    fact("class none for the canary alone", {**with_canary(canary(50, annotations={CLASS: "none"})), f"isvc|metadata|annotations|{CLASS}": "hpa"},
         lambda case: [name for name in case.names() if name.startswith("Horizontal")], ["HorizontalPodAutoscaler incident-predictor"]),
    fact("ignored: deploymentStrategy, its own and the stable's", {**with_canary(canary(deploymentStrategy={"type": "Recreate"})), **ROLLED},
         lambda case: (case.deployment()["spec"]["strategy"]["type"], case.deployment(CANARY)["spec"]["strategy"]["type"]), ("Recreate", "RollingUpdate")),
    fact("ignored: timeout", {**with_canary(canary(timeout=5)), "predictor|timeout": 30},
         lambda case: case.route()["spec"]["rules"][0]["timeouts"]["request"], "30s"),
    fact("ignored: storageUris", with_canary(canary(storageUris=[{"uri": "presage://x"}])), lambda case: len(case.names()), 6),
    fact("not checked: PYTHONPATH", with_canary(canary(model={**canary()["predictor"]["model"], "env": [{"name": "PYTHONPATH", "value": "/x"}]})),
         lambda case: len(case.names()), 6),
    fact("a probe's handlers come together, which the API server then refuses",
         {**with_canary(canary(model={**canary()["predictor"]["model"], "readinessProbe": {"exec": {"command": ["true"]}}})),
          "model|readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}}},
         lambda case: sorted(case.container(of=CANARY)["readinessProbe"]), ["exec", "httpGet"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "look", "expected"), FACTS)
def test_what_kserve_makes_of_a_canary(changes, look, expected):
    assert look(Case(changes)) == expected


def nameless(**over):
    entry = canary(**over)
    entry["predictor"]["model"].pop("name")
    return entry


@pytest.mark.parametrize(("entries", "changes", "kind", "says"), [
    pytest.param([canary()], {"isvc|metadata|annotations|serving.kserve.io/deploymentMode": "RawDeployment"}, NotAdmitted, "Standard", id="another mode"),
    pytest.param([canary(name="")], {}, NotAdmitted, "known by it", id="no name"),
    pytest.param([canary(), canary()], {}, NotAdmitted, "another predictor", id="the same name twice"),
    pytest.param([canary()], {"predictor|name": "canary"}, NotAdmitted, "another predictor", id="the stable's name"),
    pytest.param([canary(101)], {}, NotAdmitted, "0 to 100", id="more than 100 %"),
    pytest.param([canary(60), canary(60, "blue")], {}, NotAdmitted, "120 %", id="more than 100 % together"),
    pytest.param([{"trafficPercent": 5, "predictor": {"name": "canary"}}], {}, NotAdmitted, "one implementation", id="no model"),
    pytest.param([nameless()], {}, NotAdmitted, "kserve-container", id="a model without its name"),
    pytest.param([canary(model={**canary()["predictor"]["model"], "name": "x"})], {}, NotAdmitted, "kserve-container", id="a model of another name"),
    pytest.param([canary(maxReplicas=2)], {}, NotAdmitted, "maxReplicas", id="maxReplicas"),
    pytest.param([canary(scaleTarget=2)], {}, NotAdmitted, "scaleTarget", id="scaleTarget"),
    pytest.param([canary(scaleMetric="cpu")], {}, NotAdmitted, "scaleMetric", id="scaleMetric"),
    pytest.param([canary(autoScaling={"metrics": []})], {}, NotAdmitted, "autoScaling", id="autoScaling"),
    pytest.param([canary(workerSpec={"size": 1})], {}, NotAdmitted, "workerSpec", id="workerSpec"),
    pytest.param([canary(minReplicas=3)], {}, NotAdmitted, "between 0 and the stable's 2", id="more replicas than the stable"),
    pytest.param([canary(annotations={CLASS: "keda"})], {}, NotAdmitted, "no triggers", id="keda, since its metrics are taken from it"),
    pytest.param([canary(logger={"mode": "all"})], {}, NotExpanded, "agent", id="a logger"),
    pytest.param([canary(name="c" * 40)], {}, NotAdmitted, "characters", id="a name too long beside the service's"),
])  # fmt: skip
def test_what_is_refused_in_a_canary_says_why(entries, changes, kind, says):
    with pytest.raises(kind, match=says):
        Case({**changes, "isvc|spec|canary": entries}).expanded()


def test_promotion_by_copy_keeps_every_name():
    before = Case(with_canary(canary(100))).expanded()
    copied = Case({**with_canary(canary(100)), "model|storageUri": "presage://incident:2@sha256:" + "b" * 64}).expanded()
    names = [found["metadata"]["name"] for found in before]
    assert [found["metadata"]["name"] for found in copied] == names


def test_a_numeric_probe_port_does_not_override_a_named_one():
    assert laid_over({"httpGet": {"port": "http"}}, {"httpGet": {"port": 8081}}) == {"httpGet": {"port": "http"}}


@pytest.mark.parametrize("empty", [None, False, 0, "", [], {}])
def test_an_empty_value_overrides_nothing(empty):
    assert laid_over({"field": "kept"}, {"field": empty}) == {"field": "kept"}
