"""The gate's admission policy, asked offline: every way past the gate is refused by name, and what we write ourselves passes."""

import os
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from cel_expr_python import cel

from presage.manifests.admission import OfflinePolicy, Verdict
from presage.manifests.expand import expand
from presage.manifests.objects import Manifest, dump_objects, parse_objects
from presage.manifests.render import manifests_folder, render, render_overlay

DIGEST = "sha256:" + "0123456789abcdef" * 4
RELEASE = f"presage://incident:7@{DIGEST}"
CONTROLLER = "system:serviceaccount:kserve:kserve-controller-manager"


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    return tuple(found for application, text in render_overlay(manifests_folder(), overlay).items() for found in parse_objects(text, application))


def named(kind: str, name: str, overlay: str = "production") -> Manifest:
    return deepcopy(next(found for found in rendered(overlay) if (found["kind"], found["metadata"]["name"]) == (kind, name)))


@cache
def policy(overlay: str = "production") -> OfflinePolicy:
    return OfflinePolicy(named("ValidatingAdmissionPolicy", "presage-releases", overlay))


def service() -> Manifest:
    """The InferenceService of production, its release resolved."""
    found = named("InferenceService", "incident")
    found["spec"]["predictor"]["model"]["storageUri"] = RELEASE
    return found


def with_canary() -> Manifest:
    found = service()
    model = {"name": "kserve-container", "modelFormat": {"name": "presage", "version": "1"}, "storageUri": RELEASE.replace(":7@", ":8@")}
    found["spec"]["canary"] = [{"trafficPercent": 5, "predictor": {"name": "canary", "minReplicas": 1, "model": model}}]
    return found


def pinned(manifest: Manifest) -> Manifest:
    """With every image's digest resolved."""
    (found,) = parse_objects(dump_objects([manifest]).replace("serving@unresolved", f"serving@{DIGEST}"), "resolved")
    return found


def other(kind: str, api: str = "serving.kserve.io/v1alpha1", **spec: Any) -> Manifest:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "other", "namespace": "models-network"}, "spec": spec}


def container(name: str, image: str = f"x@{DIGEST}", **content: Any) -> dict[str, Any]:
    return {"name": name, "image": image, **content}


def storage_container(*formats: dict[str, str]) -> Manifest:
    return other("ClusterStorageContainer", supportedUriFormats=list(formats), container=container("storage-initializer", "kserve/storage-initializer:1"))


def refused(verdict: Verdict, said: str) -> bool:
    return verdict.judged and any(said in message for message in verdict.messages) and not any(message.startswith("error") for message in verdict.messages)


# What a person would write to get past the gate, laid over a predictor: (what, change, words of the refusal)
PAST_THE_GATE: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("a tag alone", lambda p: p["model"].update(storageUri="presage://incident:7"), "storageUri"),
    ("an unresolved release", lambda p: p["model"].update(storageUri="presage://incident:0@unresolved"), "storageUri"),
    ("the laptop's word", lambda p: p["model"].update(storageUri="presage://incident:local"), "storageUri"),
    ("a short digest", lambda p: p["model"].update(storageUri=RELEASE[:-1]), "storageUri"),
    ("a digest and more", lambda p: p["model"].update(storageUri=f"{RELEASE}/../other"), "storageUri"),
    ("a second line", lambda p: p["model"].update(storageUri=f"{RELEASE}\ns3://models"), "storageUri"),
    ("a URL inside", lambda p: p["model"].update(storageUri=f"presage://https://host/model@{DIGEST}"), "storageUri"),
    ("pvc://", lambda p: p["model"].update(storageUri="pvc://claim/model"), "storageUri"),
    ("oci:// (modelcar)", lambda p: p["model"].update(storageUri="oci://registry/model:1"), "storageUri"),
    ("oci+native://", lambda p: p["model"].update(storageUri="oci+native://registry/model:1"), "storageUri"),
    ("file://", lambda p: p["model"].update(storageUri="file:///mnt/other"), "storageUri"),
    ("a path without scheme", lambda p: p["model"].update(storageUri="/mnt/other"), "storageUri"),
    ("s3://", lambda p: p["model"].update(storageUri="s3://models/incident"), "storageUri"),
    ("hf://", lambda p: p["model"].update(storageUri="hf://org/model"), "storageUri"),
    ("storage.path", lambda p: p["model"].update(storage={"path": "models/incident", "key": "bucket"}), "model.storage"),
    ("storageUris", lambda p: p.update(storageUris=[{"uri": RELEASE, "mountPath": "/mnt/models"}]), "storageUris"),
    ("no model", lambda p: p.pop("model"), "spec.predictor.model"),
    ("the old form", lambda p: p.update(triton={"storageUri": "s3://models"}), "old forms"),
    ("another model format", lambda p: p["model"].update(modelFormat={"name": "sklearn"}), "modelFormat presage"),
    ("another runtime", lambda p: p["model"].update(runtime="kserve-sklearnserver"), "runtime presage-cpu"),
    ("another storage container", lambda p: p.update(storageContainerName="default"), "storageContainerName presage"),
    ("a container named storage-initializer", lambda p: p.update(initContainers=[container("storage-initializer")]), "storage-initializer"),
    ("a custom container", lambda p: p.update(containers=[container("kserve-container")]), "custom kserve-container"),
    ("STORAGE_URI", lambda p: p["model"].update(env=[{"name": "STORAGE_URI", "value": "s3://models"}]), "STORAGE_URI"),
    ("a container in the path's place", lambda p: p.update(containers=[container("transformer-container")]), "custom transformer-container"),
    ("an argument of Triton's", lambda p: p["model"].update(runtime="presage-gpu", args=["--model-control-mode=explicit"]), "presage-gpu are Triton's"),
    (
        "STORAGE_URI of a transformer container",
        lambda p: p.update(containers=[container("transformer-container", env=[{"name": "STORAGE_URI", "value": "s3://models"}])]), "STORAGE_URI",
    ),
    ("PYTHONPATH", lambda p: p["model"].update(env=[{"name": "PYTHONPATH", "value": "/var/lib/x"}]), "PYTHON"),
    ("a trust of its own", lambda p: p["model"].update(env=[{"name": "PRESAGE_TRUST_KEYS", "value": "/var/lib/x"}]), "PRESAGE_"),
    ("envFrom", lambda p: p["model"].update(envFrom=[{"configMapRef": {"name": "x"}}]), "envFrom"),
    ("--model_dir", lambda p: p["model"].update(args=["--model_dir=/var/lib/x"]), "--model_dir"),
    ("--trust-keys in two words", lambda p: p["model"].update(args=["--trust-keys", "/var/lib/x"]), "--trust_keys"),
    ("another command", lambda p: p["model"].update(command=["python", "-m", "http.server"]), "model.command"),
    ("a mount over the model", lambda p: p["model"].update(volumeMounts=[{"name": "x", "mountPath": "/mnt/models/packages"}]), "/mnt/models"),
    ("a mount over the program", lambda p: p["model"].update(volumeMounts=[{"name": "x", "mountPath": "/opt/presage"}]), "/var/lib only"),
    ("a mount that climbs", lambda p: p["model"].update(volumeMounts=[{"name": "x", "mountPath": "/var/lib/../../mnt/models"}]), "/var/lib only"),
    (
        "a claim in the model's place",
        lambda p: p.update(volumes=[{"name": "kserve-provision-location", "persistentVolumeClaim": {"claimName": "x"}}]), "kserve-provision-location",
    ),
    ("a label of a local model", lambda p: p.update(labels={"internal.serving.kserve.io/localmodel": "x"}), "internal.serving.kserve.io"),
    ("an internal annotation", lambda p: p.update(annotations={"internal.serving.kserve.io/storage-spec": "x"}), "internal.serving.kserve.io"),
    ("a writable model", lambda p: p.update(annotations={"storage.kserve.io/readonly": "false"}), "readonly"),
    ("workers", lambda p: p.update(workerSpec={"containers": []}), "workerSpec"),
    ("a logger", lambda p: p.update(logger={"mode": "all", "url": "http://elsewhere"}), "logger"),
    ("an image by tag", lambda p: p["model"].update(image="presage/serving:0.1.0"), "image presage/serving:0.1.0"),
    ("an unresolved image", lambda p: p["model"].update(image="presage/serving@sha256:unresolved"), "image presage/serving@sha256:unresolved"),
]
CASES = [pytest.param(change, said, id=what) for what, change, said in PAST_THE_GATE]


@pytest.mark.parametrize(("change", "said"), CASES)
def test_a_predictor_that_goes_past_the_gate_is_refused_by_name(change, said):
    manifest = service()
    change(manifest["spec"]["predictor"])
    assert refused(policy().ask(manifest), said), policy().ask(manifest)


@pytest.mark.parametrize(("change", "said"), CASES)
def test_a_canary_that_goes_past_the_gate_is_refused_by_name(change, said):
    manifest = with_canary()
    change(manifest["spec"]["canary"][0]["predictor"])
    assert refused(policy().ask(manifest), said), policy().ask(manifest)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda m: m["metadata"].update(labels={"internal.serving.kserve.io/localmodel": "x"}), "internal.serving", id="its label"),
        pytest.param(lambda m: m["metadata"]["annotations"].update({"internal.serving.kserve.io/x": "y"}), "internal.serving", id="its annotation"),
        pytest.param(lambda m: m["metadata"]["annotations"].pop("serving.kserve.io/deploymentMode"), "Standard", id="no mode"),
        pytest.param(lambda m: m["metadata"]["annotations"].update({"serving.kserve.io/deploymentMode": "ModelMesh"}), "Standard", id="ModelMesh"),
        pytest.param(lambda m: m["spec"].update(transformer={"containers": []}), "transformer", id="a transformer"),
        pytest.param(lambda m: m["spec"].update(explainer={"containers": []}), "explainer", id="an explainer"),
        pytest.param(lambda m: m["spec"]["predictor"].pop("storageContainerName"), "storageContainerName", id="no storage container named"),
        pytest.param(lambda m: m["spec"]["predictor"]["model"].pop("storageUri"), "storageUri", id="no release"),
        pytest.param(lambda m: m["spec"]["predictor"]["model"].pop("runtime"), "runtime", id="no runtime named"),
    ],
)
def test_an_inference_service_that_goes_past_the_gate_is_refused_by_name(change, said):
    manifest = service()
    change(manifest)
    assert refused(policy().ask(manifest), said), policy().ask(manifest)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        pytest.param(other("InferenceGraph", nodes={}), "InferenceGraph", id="InferenceGraph"),
        pytest.param(other("TrainedModel", model={"storageUri": RELEASE}), "TrainedModel", id="TrainedModel"),
        pytest.param(other("LLMInferenceService", "serving.kserve.io/v1alpha2", model={"uri": "hf://x"}), "LLMInferenceService", id="LLMInferenceService"),
        pytest.param(other("LLMInferenceServiceConfig"), "LLMInferenceServiceConfig", id="LLMInferenceServiceConfig"),
        pytest.param(other("LocalModelCache", sourceModelUri="presage://incident"), "LocalModelCache", id="LocalModelCache of a release"),
        pytest.param(other("LocalModelNamespaceCache", sourceModelUri="s3://x"), "LocalModelNamespaceCache", id="LocalModelNamespaceCache"),
        pytest.param(storage_container({"prefix": "presage://"}), "in no order", id="a second storage container"),
        pytest.param(storage_container({"regex": ".*://.*"}), "in no order", id="a storage container for everything"),
        pytest.param(storage_container({"prefix": "p"}), "in no order", id="a storage container for a first letter"),
        pytest.param(
            other("ClusterServingRuntime", containers=[]) | {"metadata": {"name": "presage-cpu"}}, "ClusterServingRuntime", id="a runtime in ours' place",
        ),
        pytest.param(
            other("ServingRuntime", containers=[], volumes=[{"name": "kserve-provision-location", "hostPath": {"path": "/"}}]), "kserve-provision-location",
            id="a runtime whose model's volume is a host's",
        ),
        pytest.param(other("ServingRuntime", annotations={"internal.serving.kserve.io/x": "y"}), "internal.serving", id="a runtime's internal annotation"),
        pytest.param(
            other("ServingRuntime", containers=[{"name": "kserve-container", "env": [{"name": "STORAGE_URI", "value": "s3://x"}]}]), "STORAGE_URI",
            id="a runtime with STORAGE_URI",
        ),
    ],
)
def test_another_kind_that_goes_past_the_gate_is_refused_by_name(manifest, said):
    assert refused(policy().ask(manifest), said), policy().ask(manifest)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda s: s["container"].update(command=["sh", "-c", "true"]), "presage.package.gate", id="another program"),
        pytest.param(lambda s: s.update(disabled=True), "presage.package.gate", id="switched off"),
        pytest.param(lambda s: s["supportedUriFormats"].append({"prefix": "s3://"}), "presage:// alone", id="another scheme"),
        pytest.param(lambda s: s["container"]["env"].append({"name": "PRESAGE_ALLOW_LOCAL", "value": "1"}), "ALLOW_LOCAL", id="without a digest"),
        pytest.param(lambda s: s["container"].update(image="presage/serving:0.1.0"), "image", id="an image by tag"),
    ],
)
def test_a_weakened_gate_is_refused_by_name(change, said):
    manifest = pinned(named("ClusterStorageContainer", "presage"))
    change(manifest["spec"])
    assert refused(policy().ask(manifest), said), policy().ask(manifest)


@pytest.mark.parametrize("overlay", ["staging", "production"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [("InferenceService", "incident"), ("ServingRuntime", "presage-cpu"), ("ClusterStorageContainer", "presage"), ("Deployment", "telemetry")],
)
def test_what_a_cluster_overlay_leaves_unresolved_is_refused_and_resolved_it_passes(overlay, kind, name):
    manifest = named(kind, name, overlay)
    assert not policy(overlay).ask(manifest).allowed
    if kind == "InferenceService":
        manifest["spec"]["predictor"]["model"]["storageUri"] = RELEASE
    assert policy(overlay).ask(pinned(manifest)) == Verdict(True, ())


def test_a_canary_by_digest_passes():
    assert policy().ask(with_canary()) == Verdict(True, ())


@pytest.mark.parametrize("component", ["canary", "shadow"])
def test_a_component_passes_once_its_release_is_resolved(component, tmp_path):
    folder = manifests_folder()
    parts = [os.path.relpath(folder / part, tmp_path) for part in ("overlays/production/models-network", f"components/{component}")]
    (tmp_path / "kustomization.yaml").write_text(f"namespace: models-network\nresources: [{parts[0]}]\ncomponents: [{parts[1]}]\n")
    services = [found for found in parse_objects(render(tmp_path), component) if found["kind"] == "InferenceService"]
    assert all(refused(policy().ask(found), "unresolved") for found in services)
    (resolved,) = parse_objects(dump_objects([services[-1]]).replace("presage://incident:0@unresolved", RELEASE), "resolved")
    assert policy().ask(resolved) == Verdict(True, ())


def test_what_kserves_controller_makes_of_a_resolved_service_passes():
    objects = [pinned(found) for found in rendered("production")]
    for found in objects:
        if found["kind"] == "InferenceService":
            found["spec"]["predictor"]["model"]["storageUri"] = RELEASE
    made = [found for found in expand(objects) if found["kind"] == "Deployment"]
    assert {found["metadata"]["name"] for found in made} == {"incident-predictor", "telemetry"}
    assert all(policy().ask(found, user=CONTROLLER) == Verdict(True, ()) for found in made)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(storage_container({"prefix": "gs://"}, {"regex": "https?://(.+?)/(.+)"}), id="KServe's own storage container"),
        pytest.param(other("ClusterServingRuntime", containers=[{"name": "kserve-container", "image": "kserve/sklearnserver:1"}]), id="KServe's own runtime"),
        pytest.param(other("LocalModelCache", sourceModelUri="hf://org/model"), id="a cache of somebody else's models"),
        pytest.param(other("Job", "batch/v1", template={"spec": {"containers": [{"name": "x", "image": f"x@{DIGEST}"}]}}), id="a Job by digest"),
    ],
)
def test_what_cannot_touch_a_release_passes(manifest):
    assert policy().ask(manifest) == Verdict(True, ())


def test_overlay_local_alone_admits_the_last_local_release_and_images_by_tag():
    laptop = named("InferenceService", "incident", "local")
    assert policy("local").ask(laptop) == Verdict(True, ())
    assert policy("local").ask(named("ClusterStorageContainer", "presage", "local")) == Verdict(True, ())
    assert refused(policy("production").ask(laptop), "presage://incident:local")
    laptop["spec"]["predictor"]["model"]["storageUri"] = "presage://incident:7"
    assert refused(policy("local").ask(laptop), "storageUri")


def test_the_controllers_own_updates_are_not_judged():
    old = service()
    old["spec"]["predictor"]["model"]["storageUri"] = "s3://from-before-the-policy"
    new = deepcopy(old)
    new["metadata"]["finalizers"] = ["inferenceservice.finalizers"]
    assert not policy().ask(new, old).judged
    assert not policy().ask(old, user=CONTROLLER).judged
    assert policy().ask(other("Deployment", "apps/v1", template={"spec": {"containers": [{"name": "x", "image": "x:1"}]}}), user=CONTROLLER).judged


def test_a_label_that_swaps_the_model_is_judged_even_where_the_spec_stays():
    old, new = service(), service()
    new["metadata"]["labels"] = {"internal.serving.kserve.io/localmodel": "x"}
    assert refused(policy().ask(new, old), "internal.serving.kserve.io")


def test_every_validation_says_yes_or_no_and_has_a_message_of_one_line():
    manifest = named("ValidatingAdmissionPolicy", "presage-releases")
    assert all(expression.return_type() == cel.Type.BOOL for expression, _, _ in policy().validations)
    assert all(one["message"] and "\n" not in one["message"] and one["reason"] == "Forbidden" for one in manifest["spec"]["validations"])


def test_the_policy_holds_where_models_run():
    binding = named("ValidatingAdmissionPolicyBinding", "presage-releases")
    assert binding["spec"]["validationActions"] == ["Deny"]
    (where,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    models = {found["metadata"]["namespace"] for found in rendered("production") if found["kind"] == "InferenceService"}
    assert (where["key"], set(where["values"])) == ("kubernetes.io/metadata.name", models)
