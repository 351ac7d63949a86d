"""Expanding: core objects as KServe's controller makes them, and no field in silence."""

from copy import deepcopy

import pytest

from presage.manifests.expand import expand
from presage.manifests.expand.merge import merged_container
from presage.manifests.fields import FieldError
from presage.manifests.objects import dump_objects, label, parse_objects
from presage.manifests.render import manifests_folder, render_overlay


@pytest.fixture(scope="module")
def rendered():
    return [found for application, text in render_overlay(manifests_folder(), "local").items() for found in parse_objects(text, application)]


@pytest.fixture
def objects(rendered):
    return deepcopy(rendered)


def named(objects, kind, name=None):
    return next(found for found in objects if found["kind"] == kind and name in (None, found["metadata"]["name"]))


def pod_of(objects):
    return named(expand(objects), "Deployment", "incident-predictor")["spec"]["template"]["spec"]


def test_an_inference_service_becomes_a_deployment_and_a_service_named_predictor(objects):
    labels = [label(found) for found in expand(objects)]
    assert {"Deployment presage/incident-predictor", "Service presage/incident-predictor"} <= set(labels)
    assert not [found for found in expand(objects) if found["apiVersion"].startswith("serving.kserve.io")]


def test_labels_are_the_runtimes_then_the_services_then_kserves_own(objects):
    named(objects, "ServingRuntime")["spec"]["labels"] = {"team": "runtime", "tier": "low", "app": "mine"}
    named(objects, "InferenceService")["metadata"]["labels"] = {"team": "service", "component": "mine"}
    labels = named(expand(objects), "Deployment", "incident-predictor")["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "team": "service", "tier": "low", "serving.kserve.io/inferenceservice": "incident", "component": "predictor", "app": "isvc.incident-predictor",
    }


def test_deployment_and_service_select_on_app_alone(objects):
    expanded = expand(objects)
    assert named(expanded, "Deployment", "incident-predictor")["spec"]["selector"]["matchLabels"] == {"app": "isvc.incident-predictor"}
    assert named(expanded, "Service", "incident-predictor")["spec"]["selector"] == {"app": "isvc.incident-predictor"}


def test_the_service_sends_port_80_to_the_first_container_port(objects):
    (port,) = named(expand(objects), "Service", "incident-predictor")["spec"]["ports"]
    assert port == {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}


def test_a_grpc_port_is_said_to_be_http2(objects):
    named(objects, "ServingRuntime")["spec"]["containers"][0]["ports"].append({"name": "grpc", "containerPort": 8081})
    ports = named(expand(objects), "Service", "incident-predictor")["spec"]["ports"]
    assert ports[1] == {"name": "grpc", "port": 8081, "targetPort": 8081, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}


def test_the_models_args_come_after_the_runtimes(objects):
    args = pod_of(objects)["containers"][0]["args"]
    assert args[0] == "--model_name=incident"
    assert args[-1] == "--region=eu-central"


def test_a_placeholder_without_a_value_is_an_error(objects):
    named(objects, "ServingRuntime")["spec"]["containers"][0]["args"].append("--zone={{.Annotations.zone}}")
    with pytest.raises(FieldError, match="zone"):
        expand(objects)


def test_the_gate_is_an_init_container_with_uri_and_target(objects):
    (gate,) = pod_of(objects)["initContainers"]
    assert (gate["name"], gate["args"]) == ("storage-initializer", ["presage://incident:local", "/mnt/models"])
    assert gate["command"] == ["python", "-m", "presage.package.gate"]
    assert gate["volumeMounts"][0] == {"name": "kserve-provision-location", "mountPath": "/mnt/models"}


def test_the_model_is_read_only_for_the_server(objects):
    mounts = pod_of(objects)["containers"][0]["volumeMounts"]
    assert {"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True} in mounts


def test_a_declared_model_volume_is_kept(objects):
    named(objects, "InferenceService")["spec"]["predictor"]["volumes"] = [{"name": "kserve-provision-location", "emptyDir": {"medium": "Memory"}}]
    volumes = [volume for volume in pod_of(objects)["volumes"] if volume["name"] == "kserve-provision-location"]
    assert volumes == [{"name": "kserve-provision-location", "emptyDir": {"medium": "Memory"}}]


def test_a_container_without_readiness_probe_gets_kserves(objects):
    del named(objects, "ServingRuntime")["spec"]["containers"][0]["readinessProbe"]
    assert pod_of(objects)["containers"][0]["readinessProbe"]["tcpSocket"] == {"port": 8080}


def test_two_storage_containers_for_one_uri_are_an_error(objects):
    second = deepcopy(named(objects, "ClusterStorageContainer"))
    second["metadata"]["name"] = "second"
    del named(objects, "InferenceService")["spec"]["predictor"]["storageContainerName"]
    with pytest.raises(FieldError, match=r"presage, second.*exactly one"):
        expand([*objects, second])


@pytest.mark.parametrize("scheme", ["pvc://models/incident", "s3://models/incident", "file:///models"])
def test_a_uri_that_goes_past_the_gate_is_an_error(objects, scheme):
    named(objects, "InferenceService")["spec"]["predictor"]["model"]["storageUri"] = scheme
    with pytest.raises(FieldError, match="storageUri"):
        expand(objects)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("InferenceService", ("spec",), {"canary": []}),
        ("InferenceService", ("spec", "predictor"), {"canaryTrafficPercent": 10}),
        ("InferenceService", ("spec", "predictor", "model"), {"name": "other"}),
        ("InferenceService", ("spec", "predictor", "model", "modelFormat"), {"flavour": "x"}),
        ("ServingRuntime", ("spec",), {"initContainers": []}),
        ("ServingRuntime", ("spec", "containers", 0), {"imagePullSecret": "x"}),
        ("ClusterStorageContainer", ("spec",), {"volumes": []}),
        ("ClusterStorageContainer", ("spec", "container"), {"volume": "x"}),
    ],
)
def test_an_unknown_field_is_an_error_that_names_it(objects, kind, path, value):
    place = named(objects, kind)
    for step in path:
        place = place[step]
    place.update(value)
    with pytest.raises(FieldError, match=next(iter(value))):
        expand(objects)


def test_a_kind_without_a_rule_is_an_error(objects):
    graph = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "InferenceGraph", "metadata": {"name": "g"}}
    with pytest.raises(FieldError, match="InferenceGraph g"):
        expand([*objects, graph])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda isvc: isvc["metadata"]["annotations"].pop("serving.kserve.io/deploymentMode"), "deploymentMode"),
        (lambda isvc: isvc["metadata"]["annotations"].update({"serving.kserve.io/autoscalerClass": "keda"}), "autoscalerClass"),
        (lambda isvc: isvc["spec"]["predictor"]["model"].update(runtime="absent"), "absent"),
        (lambda isvc: isvc["spec"]["predictor"]["model"].update(protocolVersion="v1"), "protocolVersion"),
        (lambda isvc: isvc["spec"]["predictor"]["model"].update(modelFormat={"name": "onnx"}), "modelFormat"),
    ],
)
def test_what_kserve_would_not_make_is_an_error(objects, change, said):
    change(named(objects, "InferenceService"))
    with pytest.raises(FieldError, match=said):
        expand(objects)


def test_merging_replaces_a_variable_by_name_and_a_mount_by_path():
    base = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "volumeMounts": [{"name": "v", "mountPath": "/a"}], "args": ["--x"]}
    variables = [{"name": "B", "valueFrom": {"fieldRef": {}}}, {"name": "C", "value": "3"}]
    over = {"env": variables, "volumeMounts": [{"name": "w", "mountPath": "/a"}], "args": ["--y"]}
    assert merged_container(base, over) == {
        "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {}}}, {"name": "C", "value": "3"}],
        "volumeMounts": [{"name": "w", "mountPath": "/a"}], "args": ["--x", "--y"],
    }


def test_what_is_printed_reads_back_equal(objects):
    assert parse_objects(dump_objects(expand(objects)), "printed") == expand(objects)
