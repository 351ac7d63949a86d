"""The overlays: what each holds, what none holds, and what must agree between them."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from presage.local.mesh import read_mesh
from presage.local.tokens import TokenIssuer
from presage.manifests.expand import expand
from presage.manifests.objects import Manifest, group, label, parse_objects
from presage.manifests.render import manifests_folder, overlays, render, render_overlay

MANIFESTS = manifests_folder()
CLUSTERS = ("staging", "production")
CLUSTER_SCOPED = {"Namespace", "ClusterStorageContainer", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
DOMAINS = {"local": "presage.local", "local-gpu": "presage.local", "staging": "staging.presage.example", "production": "presage.example"}
RELEASE = "presage://incident:8@sha256:" + "8" * 64


@cache
def applications(overlay: str) -> dict[str, list[Manifest]]:
    return {name: parse_objects(text, f"{overlay}/{name}") for name, text in render_overlay(MANIFESTS, overlay).items()}


def objects(overlay: str, *kinds: str) -> list[Manifest]:
    return [found for application in applications(overlay).values() for found in application if not kinds or found["kind"] in kinds]


def one(overlay: str, kind: str, name: str, namespace: str | None = None) -> Manifest:
    (found,) = [it for it in objects(overlay, kind) if it["metadata"]["name"] == name and namespace in (None, it["metadata"].get("namespace"))]
    return found


def with_component(component: str, folder: Path, overlay: str = "local") -> list[Manifest]:
    """The models of an overlay with a component that no overlay holds at rest."""
    to = {part: os.path.relpath(MANIFESTS / part, folder.resolve()) for part in (f"overlays/{overlay}/models-network", f"components/{component}")}
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "namespace: models-network"]
    resources, components = to.values()
    (folder / "kustomization.yaml").write_text("\n".join([*lines, f"resources: [{resources}]", f"components: [{components}]"]))
    return parse_objects(render(folder), component)


def identity(manifest: Manifest) -> tuple[str, str, str, str]:
    return group(manifest), manifest["kind"], manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


@pytest.mark.long
@pytest.mark.parametrize("overlay", overlays(MANIFESTS))
def test_each_object_is_in_one_application_and_says_its_namespace(overlay):
    names = [identity(found) for found in objects(overlay)]
    assert sorted(set(names)) == sorted(names)
    assert {found["kind"] for found in objects(overlay) if "namespace" not in found["metadata"]} == CLUSTER_SCOPED


def test_an_overlay_is_cut_into_applications_by_life_cycle():
    shared = {"platform", "policies", "streams", "observability", "models-network"}
    assert set(applications("local")) == shared | {"backing"}
    assert all(set(applications(overlay)) == shared | {"models-databases", "argocd", "argocd-settings"} for overlay in CLUSTERS)


def test_overlay_local_holds_nothing_of_the_other_domain():
    namespaces = {found["metadata"].get("namespace", found["metadata"]["name"]) for found in objects("local")}
    assert "models-databases" not in namespaces
    assert namespaces >= {"models-network", "gateway", "vault", "object-store", "pipelines", "monitoring"}


def test_the_root_builds_production_with_all_its_applications_but_what_brings_them():
    built = parse_objects(render(MANIFESTS.parent), "root")
    brought = [found for name, them in applications("production").items() for found in them if not name.startswith("argocd")]
    assert sorted(map(identity, built)) == sorted(map(identity, brought))


@pytest.mark.parametrize("overlay", overlays(MANIFESTS))
def test_a_models_application_has_no_wave_no_hook_no_job(overlay):
    for name, found in applications(overlay).items():
        if name.startswith("models-"):
            assert {manifest["kind"] for manifest in found} == {"InferenceService", "ServingRuntime", "PodDisruptionBudget"}
            assert not [key for manifest in found for key in manifest["metadata"].get("annotations", {}) if key.startswith("argocd.argoproj.io/")]


@pytest.mark.parametrize("overlay", overlays(MANIFESTS))
def test_a_policy_shares_no_application_with_what_it_judges(overlay):
    assert {found["kind"] for found in applications(overlay)["policies"]} == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    assert not [found for name, them in applications(overlay).items() if name != "policies" for found in them if "Admission" in found["kind"]]


@pytest.mark.parametrize("overlay", overlays(MANIFESTS))
def test_every_namespace_is_restricted_and_closed_before_it_is_opened(overlay):
    namespaces = objects(overlay, "Namespace")
    assert len(namespaces) >= 5
    for namespace in namespaces:
        name, labels = namespace["metadata"]["name"], namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted", name
        closed = one(overlay, "NetworkPolicy", "deny-all", name)["spec"]
        assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        if name not in ("vault", "object-store"):  # stand-ins, outside the mesh
            assert one(overlay, "AuthorizationPolicy", "deny-all", name).get("spec") == {}
            assert one(overlay, "PeerAuthentication", "strict", name)["spec"] == {"mtls": {"mode": "STRICT"}}


@pytest.mark.parametrize("overlay", overlays(MANIFESTS))
def test_plain_text_is_taken_at_the_metric_port_of_named_workloads_alone(overlay):
    exceptions = [found for found in objects(overlay, "PeerAuthentication") if "portLevelMtls" in found["spec"]]
    assert exceptions
    for found in exceptions:
        assert found["spec"]["portLevelMtls"] == {"9090": {"mode": "DISABLE"}}
        assert (found["spec"]["mtls"]["mode"], bool(found["spec"]["selector"]["matchLabels"])) == ("STRICT", True)


@pytest.mark.parametrize("overlay", overlays(MANIFESTS))
def test_the_public_domain_is_the_same_wherever_it_stands(overlay):
    domain = DOMAINS[overlay]
    (listener,) = one(overlay, "Gateway", "presage")["spec"]["listeners"]
    assert (listener["protocol"], listener["hostname"]) == ("HTTPS", f"*.{domain}")
    assert json.loads(one(overlay, "ConfigMap", "inferenceservice-config")["data"]["ingress"])["ingressDomain"] == domain
    assert one(overlay, "VaultPKISecret", "gateway-tls")["spec"]["commonName"] == f"*.{domain}"
    (rule,) = one(overlay, "RequestAuthentication", "clients")["spec"]["jwtRules"]
    assert (rule["issuer"], rule["jwksUri"]) == (f"https://issuer.{domain}", f"https://keys.issuer.{domain}")
    assert "invalid" not in json.dumps(objects(overlay))
    assert "domain" not in [found["metadata"]["name"] for found in objects(overlay, "ConfigMap")]


def images(overlay: str) -> set[str]:
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.update([value["image"]] if isinstance(value.get("image"), str) else [])
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                walk(item)

    walk(objects(overlay))
    return found


def test_clusters_take_our_images_by_the_locks_digest_and_the_laptop_by_tag():
    lock = {image["name"]: image for image in yaml.safe_load((MANIFESTS / "images.lock.yaml").read_text())["images"]}
    serving = lock["presage/serving"]
    assert all(images(overlay) == {f"{serving['repository']}@{serving['digest']}"} for overlay in CLUSTERS)
    assert images("local") == {f"presage/serving:{serving['tag']}", "openbao/openbao:2.7.2", "chrislusf/seaweedfs:4.48"}


def test_annotations_of_the_plane_are_in_overlay_local_alone():
    assert "plane.presage/" in json.dumps(objects("local"))
    assert not [overlay for overlay in CLUSTERS if "plane.presage/" in json.dumps(objects(overlay))]
    assert not [overlay for overlay in CLUSTERS if "PRESAGE_ALLOW_LOCAL" in json.dumps(one(overlay, "ClusterStorageContainer", "presage"))]


def test_one_replica_on_a_laptop_two_in_a_cluster_and_no_canary_at_rest():
    assert one("local", "InferenceService", "incident")["spec"]["predictor"]["minReplicas"] == 1
    for overlay in CLUSTERS:
        replicas = {found["metadata"]["namespace"]: found["spec"]["predictor"]["minReplicas"] for found in objects(overlay, "InferenceService")}
        assert replicas == {"models-databases": 2, "models-network": 2}
        assert all(found["spec"].keys() == {"predictor"} for found in objects(overlay, "InferenceService"))


@pytest.mark.parametrize("overlay", CLUSTERS)
def test_a_cluster_overlay_names_no_release_until_one_is_published(overlay):
    assert {found["spec"]["predictor"]["model"]["storageUri"] for found in objects(overlay, "InferenceService")} == {"presage://incident:0@unresolved"}


def canary(folder: Path) -> list[Manifest]:
    found = with_component("canary", folder)
    (service,) = [manifest for manifest in found if manifest["kind"] == "InferenceService"]
    service["spec"]["predictor"]["model"]["storageUri"] = RELEASE.replace(":8@", ":7@")
    service["spec"]["canary"][0]["predictor"]["model"]["storageUri"] = RELEASE
    return found


def test_a_canary_takes_five_percent_with_one_pod_of_its_own(tmp_path):
    (service,) = [found for found in canary(tmp_path) if found["kind"] == "InferenceService"]
    (entry,) = service["spec"]["canary"]
    assert (entry["trafficPercent"], entry["predictor"]["name"], entry["predictor"]["minReplicas"]) == (5, "canary", 1)
    assert entry["predictor"]["annotations"] == {"serving.kserve.io/autoscalerClass": "none"}
    assert entry["predictor"]["model"]["name"] == "kserve-container"


def test_budget_and_spread_select_stable_and_canary_pods_alike(tmp_path):
    platform = applications("local")["platform"]
    expanded = expand([*canary(tmp_path), *platform])
    labels = {found["metadata"]["name"]: found["spec"]["template"]["metadata"]["labels"] for found in expanded if found["kind"] == "Deployment"}
    assert set(labels) == {"incident-predictor", "incident-canary-predictor"}
    (budget,) = [found["spec"]["selector"]["matchLabels"] for found in expanded if found["kind"] == "PodDisruptionBudget"]
    spread = [
        constraint["labelSelector"]["matchLabels"] for found in expanded if found["kind"] == "Deployment"
        for constraint in found["spec"]["template"]["spec"]["topologySpreadConstraints"]
    ]  # fmt: skip
    for selector in (budget, *spread):
        assert "app" not in selector
        assert all(selector.items() <= pod.items() for pod in labels.values())


def test_stable_and_canary_each_have_a_rule_for_how_they_are_called_and_it_is_the_same(tmp_path):
    services = {found["metadata"]["name"] for found in expand([*canary(tmp_path), *applications("local")["platform"]]) if found["kind"] == "Service"}
    rules = {found["spec"]["host"]: found["spec"]["trafficPolicy"] for found in objects("local", "DestinationRule")}
    assert services <= rules.keys()
    assert rules["incident-predictor"] == rules["incident-canary-predictor"]


def test_a_shadow_has_no_route_and_only_the_request_path_may_call_it(tmp_path):
    found = with_component("shadow", tmp_path)
    shadow = next(one for one in found if one["metadata"]["name"] == "incident-shadow")
    assert shadow["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    shadow["spec"]["predictor"]["model"]["storageUri"] = RELEASE
    expanded = expand([*found, *applications("local")["platform"]])
    assert {it["metadata"]["name"] for it in expanded if it["kind"] == "HTTPRoute"} & {"incident-shadow", "incident-shadow-predictor"} == set()
    (allow,) = [it for it in found if it["kind"] == "AuthorizationPolicy"]
    assert allow["spec"]["rules"][0]["from"] == [{"source": {"serviceAccounts": ["incident"]}}]
    assert not [overlay for overlay in overlays(MANIFESTS) if "incident-shadow" in json.dumps(objects(overlay))]


def test_the_plane_honours_the_mesh_of_overlay_local_as_it_is_written(tmp_path):
    (tmp_path / "keys").mkdir()
    TokenIssuer.open(tmp_path / "keys" / "issuer.key")
    mesh = read_mesh(expand(objects("local")), lambda text, who: None, tmp_path)
    assert [str(name) for name in mesh.gateways] == ["gateway/presage"]
    assert len(mesh.policies) == len(objects("local", "AuthorizationPolicy"))
    assert len(mesh.limits) == 1


def test_every_secret_and_config_map_that_a_pod_mounts_is_there():
    for overlay in overlays(MANIFESTS):
        expanded = expand(objects(overlay))
        there = {(found["kind"], found["metadata"].get("namespace"), found["metadata"]["name"]) for found in expanded}
        for found in expanded:
            if found["kind"] != "Deployment":
                continue
            for volume in found["spec"]["template"]["spec"]["volumes"]:
                wanted = [("ConfigMap", volume.get("configMap", {}).get("name")), ("Secret", volume.get("secret", {}).get("secretName"))]
                wanted += [("PersistentVolumeClaim", volume.get("persistentVolumeClaim", {}).get("claimName"))]
                missing = [(kind, name) for kind, name in wanted if name and (kind, found["metadata"]["namespace"], name) not in there]
                assert missing == [], label(found)


WRITTEN = sorted(
    path for part in ("base", "components") for path in (MANIFESTS / part).rglob("*.yaml")
    if path.name != "kustomization.yaml" and "observability" not in path.parts
)  # fmt: skip


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(MANIFESTS)))
def test_a_file_holds_one_kind_is_called_so_and_says_why(path):
    text = path.read_text()
    assert text.startswith("# "), "its first line is no comment"
    documents = list(yaml.safe_load_all(text))
    assert len(documents) == 1
    if isinstance(documents[0], dict) and "kind" in documents[0]:
        assert path.name.split(".")[0] == documents[0]["kind"].lower()


@pytest.mark.parametrize("name", sorted(path.name for path in (MANIFESTS / "components").iterdir()))
def test_a_component_says_in_a_few_lines_what_it_is_for(name):
    lines = (MANIFESTS / "components" / name / "README.md").read_text().splitlines()
    assert lines[0] == f"# {name}"
    assert 3 <= len([line for line in lines[1:] if line]) <= 5


@pytest.mark.parametrize("path", sorted((MANIFESTS / "overlays").rglob("kustomization.yaml")), ids=lambda path: str(path.relative_to(MANIFESTS)))
def test_an_overlay_is_a_few_lines(path):
    assert len(path.read_text().splitlines()) <= 24
