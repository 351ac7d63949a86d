"""Every object, written and expanded, holds to the schema of its kind."""

import json
import os
from functools import cache
from pathlib import Path

import jsonschema_rs
import kubernetes_validate
import pytest

from presage.manifests.expand import expand
from presage.manifests.objects import Manifest, group, label, parse_objects
from presage.manifests.render import manifests_folder, overlays, render_overlay

CORE = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.37.0-local-strict"


def rendered(overlay: str) -> list[Manifest]:
    return [found for application, text in render_overlay(manifests_folder(), overlay).items() for found in parse_objects(text, application)]


@cache
def core_registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([("https://kubernetes.io/api/_definitions.json", json.loads((CORE / "_definitions.json").read_text()))])


def core_schema(manifest: Manifest) -> Path:
    return CORE / f"{'-'.join([manifest['kind'].lower(), *(part.split('.')[0] for part in manifest['apiVersion'].split('/'))])}.json"


def is_core(manifest: Manifest) -> bool:
    # A group of Kubernetes' own has no dot or ends so; the Gateway API's and Kueue's, too, but their kinds are no built-in ones.
    its = group(manifest)
    return ("." not in its or its.endswith(".k8s.io")) and core_schema(manifest).is_file()


def errors_of_core(manifest: Manifest) -> list[str]:
    path = core_schema(manifest)
    schema = json.loads(path.read_text()) | {"$id": f"https://kubernetes.io/api/{path.name}"}
    return [error.message for error in jsonschema_rs.validator_for(schema, registry=core_registry()).iter_errors(manifest)]


def errors_of_custom(manifest: Manifest, schemas: Path) -> list[str]:
    version = manifest["apiVersion"].partition("/")[2]
    path = schemas / group(manifest) / f"{manifest['kind'].lower()}_{version}.json"
    return [error.message for error in jsonschema_rs.validator_for(json.loads(path.read_text())).iter_errors(manifest)]


@pytest.mark.long
@pytest.mark.parametrize("overlay", overlays(manifests_folder()))
def test_core_objects_hold_to_kubernetes_schemas(overlay):
    core = [found for found in expand(rendered(overlay)) if is_core(found)]
    assert {found["kind"] for found in core} >= {"Deployment", "NetworkPolicy", "Role", "ValidatingAdmissionPolicy"}
    assert {label(found): errors for found in core if (errors := errors_of_core(found))} == {}


def test_a_misspelt_core_field_would_be_found():
    deployment = next(found for found in rendered("local") if found["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    assert any("livenesProbe" in error for error in errors_of_core(deployment))


@pytest.mark.parametrize("overlay", overlays(manifests_folder()))
def test_custom_objects_hold_to_their_schemas(overlay):
    folder = os.environ.get("PRESAGE_SCHEMAS")
    if not folder:
        pytest.skip("PRESAGE_SCHEMAS is unset: the schemas of custom kinds are not here")
    custom = [found for found in rendered(overlay) if not is_core(found)]
    assert {found["kind"] for found in custom} >= {"InferenceService", "ClusterStorageContainer", "Gateway", "AuthorizationPolicy", "VaultStaticSecret"}
    assert {label(found): errors for found in custom if (errors := errors_of_custom(found, Path(folder)))} == {}
