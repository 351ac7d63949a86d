"""What Argo CD follows: every rendered folder, under a project that allows exactly what the folder holds; how it judges health; whom it tells."""

import json
import os
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from builders.redis_server import RedisServer

from presage.manifests.objects import Manifest, group, label, parse_objects
from presage.manifests.render import manifests_folder, render, render_overlay

MANIFESTS = manifests_folder()
CLUSTERS = ("staging", "production")
OF_RELEASES = ("canary", "shadow")  # components that a release adds to the models' folders, and takes away again
EVERY = pytest.mark.parametrize("overlay", CLUSTERS)


@cache
def folders(overlay: str) -> dict[str, list[Manifest]]:
    return {name: parse_objects(text, f"{overlay}/{name}") for name, text in render_overlay(MANIFESTS, overlay).items()}


def named(overlay: str, kind: str) -> dict[str, Manifest]:
    return {found["metadata"]["name"]: found for found in folders(overlay)["argocd"] if found["kind"] == kind}


def during_releases(overlay: str, name: str, folder: Path) -> list[Manifest]:
    """The models' folder with a canary and a shadow in it."""
    resources = os.path.relpath(MANIFESTS / "overlays" / overlay / name, folder.resolve())
    components = [os.path.relpath(MANIFESTS / "components" / one, folder.resolve()) for one in OF_RELEASES]
    document = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": name, "resources": [resources], "components": components}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return parse_objects(render(folder), name)


def held(overlay: str, name: str, folder: Path) -> list[Manifest]:
    """All that a folder holds, at rest and while a release is under way."""
    return [*folders(overlay)[name], *(during_releases(overlay, name, folder) if name.startswith("models-") else [])]


@EVERY
def test_every_rendered_folder_has_one_application_that_follows_it_from_this_overlay(overlay):
    paths = [found["spec"]["source"]["path"] for found in named(overlay, "Application").values()]
    assert sorted(paths) == sorted(f"manifests/rendered/{overlay}/{name}" for name in folders(overlay))
    assert all((MANIFESTS.parent / path / "manifest.yaml").is_file() for path in paths)


@EVERY
def test_an_application_applies_compares_heals_and_retries_as_a_release_needs_it(overlay):
    for name, found in named(overlay, "Application").items():
        assert found["metadata"]["annotations"] == {
            "argocd.argoproj.io/compare-options": "ServerSideDiff=true", "argocd.argoproj.io/manifest-generate-paths": ".",
        }  # fmt: skip
        assert found["spec"]["syncPolicy"] == {
            "automated": {"prune": True, "selfHeal": True},
            "retry": {"limit": 10, "refresh": True, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "30s"}},
            "syncOptions": ["ServerSideApply=true", "FailOnSharedResource=true"],
        }  # fmt: skip
        assert found["spec"]["project"] == name and found["spec"]["source"]["targetRevision"] == "main"
        assert "finalizers" not in found["metadata"]


@EVERY
def test_a_project_allows_what_its_folder_holds_and_nothing_more(overlay, tmp_path):
    projects = named(overlay, "AppProject")
    for name in folders(overlay):
        spec, objects = projects[f"presage-{name}"]["spec"], held(overlay, name, tmp_path)
        namespaced = [found for found in objects if "namespace" in found["metadata"]]
        wide = [found for found in objects if "namespace" not in found["metadata"]]
        allowed = {(entry["group"], entry["kind"]) for entry in spec["namespaceResourceWhitelist"]}
        assert allowed == {(group(found), found["kind"]) for found in namespaced}, name
        assert len(allowed) == len(spec["namespaceResourceWhitelist"])
        by_name = sorted((entry["group"], entry["kind"], entry["name"]) for entry in spec["clusterResourceWhitelist"])
        assert by_name == sorted((group(found), found["kind"], found["metadata"]["name"]) for found in wide), name
        reached = sorted(entry.get("namespace", "") for entry in spec["destinations"])
        assert reached == (sorted({found["metadata"]["namespace"] for found in namespaced}) or [""]), name


@pytest.mark.parametrize("component", ["redis", "gpu-family", "gpu-mig", "gpu-time-slicing"])
def test_an_option_brings_what_the_platforms_project_must_allow_for_it(component, tmp_path):
    built = {}
    for part in ("platform", "argocd"):
        (folder := tmp_path / part).mkdir()
        laid = {"resources": MANIFESTS / "overlays" / "production" / part, "components": MANIFESTS / "components" / component / part}
        parts = {key: [os.path.relpath(place, folder.resolve())] for key, place in laid.items() if place.is_dir()}
        (folder / "kustomization.yaml").write_text(yaml.safe_dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **parts}))
        built[part] = parse_objects(render(folder), part)
    (project,) = [found["spec"] for found in built["argocd"] if found["metadata"]["name"] == "presage-platform" and found["kind"] == "AppProject"]
    kinds = {(entry["group"], entry["kind"]) for entry in project["namespaceResourceWhitelist"]}
    reached = {entry["namespace"] for entry in project["destinations"]} | {None}  # redis takes its namespace from where it is put
    for found in built["platform"]:
        if found["kind"] not in ("Namespace", "ClusterStorageContainer"):
            assert (group(found), found["kind"]) in kinds and found["metadata"].get("namespace") in reached, label(found)


@EVERY
def test_projects_take_from_one_repository_and_reach_one_cluster(overlay):
    written = yaml.safe_load((MANIFESTS / "argocd" / "configmap.repository.yaml").read_text())["data"]["url"]
    for name, found in named(overlay, "AppProject").items():
        if name != "default":
            assert found["spec"]["sourceRepos"] == [written]
            assert {entry["server"] for entry in found["spec"]["destinations"]} == {"https://kubernetes.default.svc"}
            assert found["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]
    assert {found["spec"]["source"]["repoURL"] for found in named(overlay, "Application").values()} == {written}
    elsewhere = [path for path in MANIFESTS.rglob("*.yaml") if "rendered" not in path.parts and written in path.read_text()]
    assert [path.name for path in elsewhere] == ["configmap.repository.yaml"]


@EVERY
def test_an_applications_own_destination_is_one_of_its_projects(overlay):
    for name, found in named(overlay, "Application").items():
        wanted = found["spec"]["destination"]
        assert wanted in named(overlay, "AppProject")[name]["spec"]["destinations"]


@EVERY
def test_tenants_write_nothing_by_which_they_could_give_themselves_more(overlay):
    for name in ("presage-models-network", "presage-models-databases", "presage-streams"):
        spec = named(overlay, "AppProject")[name]["spec"]
        kinds = {entry["kind"] for entry in spec["namespaceResourceWhitelist"]}
        assert spec["clusterResourceWhitelist"] == []
        assert not kinds & {"Secret", "Role", "RoleBinding", "ServiceAccount", "Application", "AppProject", "ConfigMap"}
        assert not any("jwtTokens" in role or "groups" in role for role in spec.get("roles", []))
        assert {verb for role in spec.get("roles", []) for policy in role["policies"] for verb in [policy.split(", ")[3]]} <= {"get"}


@EVERY
def test_the_default_project_allows_nothing(overlay):
    spec = named(overlay, "AppProject")["default"]["spec"]
    assert [spec[field] for field in ("sourceRepos", "destinations", "clusterResourceWhitelist", "namespaceResourceWhitelist")] == [[], [], [], []]
    assert spec["clusterResourceBlacklist"] == spec["namespaceResourceBlacklist"] == [{"group": "*", "kind": "*"}]


@EVERY
def test_only_projects_stand_in_a_wave_of_their_own(overlay):
    waves = {
        (name, label(found)): found["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
        for name, objects in folders(overlay).items() for found in objects if "argocd.argoproj.io/sync-wave" in found["metadata"].get("annotations", {})
    }  # fmt: skip
    assert set(waves.values()) == {"-1"}
    assert {name for name, _ in waves} == {"argocd"} and all(found.startswith("AppProject ") for _, found in waves)


def test_names_are_what_is_written():
    for path in [*MANIFESTS.parent.glob("kustomization.yaml"), *MANIFESTS.rglob("kustomization.yaml")]:
        found = yaml.safe_load(path.read_text())
        assert not found.keys() & {"namePrefix", "nameSuffix"}, path
        for one in [*found.get("configMapGenerator", []), *found.get("secretGenerator", [])]:
            quiet = {**found.get("generatorOptions", {}), **one.get("options", {})}
            assert quiet.get("disableNameSuffixHash") is True, path


# Health, by the Lua of Redis: 5.1, the language of Argo CD's own interpreter.

KINDS = ("VaultAuth", "VaultConnection", "VaultDynamicSecret", "VaultPKISecret", "VaultStaticSecret")
FORBIDDEN = "local string, math, os, io, cjson, cmsgpack, redis, bit, struct = nil"
RUN = "local obj = cjson.decode(ARGV[1]); {hidden}; local function health() {script}\nend; local found = health(); return {{found.status, found.message}}"


def settings(overlay="production"):
    return {found["metadata"]["name"]: found for found in folders(overlay)["argocd-settings"]}


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:

        def judged(kind, status=None, generation=2):
            script = settings()["argocd-cm"]["data"][f"resource.customizations.health.secrets.hashicorp.com_{kind}"]
            obj = {"kind": kind, "metadata": {"name": "x", "generation": generation}} | ({} if status is None else {"status": status})
            found = redis.ask("EVAL", RUN.format(hidden=FORBIDDEN, script=script), 0, json.dumps(obj))
            return tuple(text.decode() for text in found)

        yield judged


def condition(kind, status, message="", generation=2):
    return {"type": kind, "status": status, "message": message, "observedGeneration": generation}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("status", "expected"), [
    (None, ("Progressing", "The operator has not looked at it yet.")),
    ({}, ("Progressing", "The operator has not looked at it yet.")),
    ({"conditions": []}, ("Progressing", "The operator has not looked at it yet.")),
    ({"conditions": [condition("SecretSynced", "True", generation=2)]}, ("Progressing", "The operator has not looked at it yet.")),
    ({"conditions": [condition("Ready", "True", "Ready"), condition("Healthy", "True")]}, ("Healthy", "Ready")),
    ({"conditions": [condition("Ready", "True", "Ready", generation=1)]}, ("Progressing", "The operator has not looked at this generation yet.")),
    ({"conditions": [condition("Ready", "False", "not ready"), condition("Healthy", "False", "unhealthy"), condition("SecretSynced", "False", "403 at kv/x")]},
     ("Degraded", "403 at kv/x")),
    ({"conditions": [condition("Ready", "False", "not ready"), condition("Healthy", "False", "unhealthy")]}, ("Degraded", "not ready")),
    ({"conditions": [condition("SecretSynced", "True", "synced", generation=1), condition("Ready", "True", "Ready")]}, ("Healthy", "Ready")),
    ({"conditions": [condition("SecretSynced", "False", "once", generation=1), condition("Ready", "True", "Ready")]}, ("Healthy", "Ready")),
    ({"conditions": [condition("Ready", "False", "not ready", generation=1)]}, ("Progressing", "The operator has not looked at this generation yet.")),
], ids=["no status", "empty", "no condition", "synced alone", "ready", "ready before the change", "refused by Vault", "not ready", "synced long ago",
        "a failure of long ago", "a failure before the change"])  # fmt: skip
def test_health_of_vaults_kinds(judge, kind, status, expected):
    assert judge(kind, status) == expected


@pytest.mark.skipif("PRESAGE_CRDS" not in os.environ, reason="needs the CRDs of PRESAGE_CRDS")
@pytest.mark.parametrize("kind", KINDS)
def test_the_script_reads_fields_that_the_kind_has(kind):
    crd = yaml.safe_load((Path(os.environ["PRESAGE_CRDS"]) / "secrets.hashicorp.com" / f"{kind.lower()}.yaml").read_text())
    (version,) = [one for one in crd["spec"]["versions"] if one["name"] == "v1beta1"]
    conditions = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["conditions"]["items"]["properties"]
    assert {"type", "status", "message", "observedGeneration"} <= conditions.keys()


@EVERY
def test_every_vault_kind_that_we_write_has_a_script(overlay):
    written = {found["kind"] for objects in folders(overlay).values() for found in objects if group(found) == "secrets.hashicorp.com"}
    scripts = {key.rpartition("_")[2] for key in settings(overlay)["argocd-cm"]["data"]}
    assert written <= scripts and not any("*" in key for key in settings(overlay)["argocd-cm"]["data"])


def test_argo_cds_own_config_maps_are_never_pruned_and_are_those_it_reads():
    assert settings().keys() == {"argocd-cm", "argocd-notifications-cm"}
    for found in settings().values():
        assert found["metadata"]["labels"] == {"app.kubernetes.io/part-of": "argocd"}
        assert found["metadata"]["annotations"] == {"argocd.argoproj.io/sync-options": "Prune=false"}


def test_a_failed_sync_an_unknown_status_and_bad_health_are_told_by_templates_and_a_service_that_exist():
    data = settings()["argocd-notifications-cm"]["data"]
    triggers = {key.removeprefix("trigger."): yaml.safe_load(text) for key, text in data.items() if key.startswith("trigger.")}
    assert set(triggers) == {"on-health-degraded", "on-sync-failed", "on-sync-status-unknown"}
    assert all(f"template.{name}" in data for conditions in triggers.values() for one in conditions for name in one["send"])
    assert all({"when", "oncePer", "send"} == one.keys() for conditions in triggers.values() for one in conditions)
    (subscription,) = yaml.safe_load(data["subscriptions"])
    assert sorted(subscription["triggers"]) == sorted(triggers) and subscription["recipients"] == ["presage"]
    assert yaml.safe_load(data["service.webhook.presage"])["url"] == "$presage-webhook"
    template = yaml.safe_load(data["template.presage-trouble"])["webhook"]["presage"]
    body = template["body"].replace("{{if .app.status.operationState}}", "").replace("{{else}}null{{end}}", "")
    filled = re.sub(r"\{\{toJson [.\w]+\}\}", '"x"', body)
    assert template["method"] == "POST" and set(json.loads(filled)) == {"application", "health", "sync", "revision", "conditions", "operation"}


@EVERY
def test_no_pattern_is_needed_to_name_what_a_project_allows(overlay):
    for found in named(overlay, "AppProject").values():
        entries = [one for field in ("sourceRepos", "destinations", "clusterResourceWhitelist", "namespaceResourceWhitelist") for one in found["spec"][field]]
        values = [text for one in entries for text in (one.values() if isinstance(one, dict) else [one])]
        assert not [text for text in values if re.search(r"[*?\[!]", text)]
