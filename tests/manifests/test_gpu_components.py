"""The GPU family and the ways to share a GPU, as components: each makes what it says, and verify finds nothing wrong with it."""

import shutil

import pytest
import yaml

from presage.manifests.expand import expand
from presage.manifests.objects import parse_objects
from presage.manifests.render import manifests_folder, render_overlay, write_rendered
from presage.manifests.verify import verify

RESOURCES = {"gpu-whole": "nvidia.com/gpu", "gpu-mig": "nvidia.com/mig-1g.10gb", "gpu-time-slicing": "nvidia.com/gpu.shared"}


@pytest.fixture(scope="module")
def with_gpu(tmp_path_factory):
    """(component) → a manifests/ folder whose overlay local-gpu has it."""

    def made(component):
        folder = tmp_path_factory.mktemp(component) / "manifests"
        shutil.copytree(manifests_folder(), folder)
        for part, application in (("models", "models-network"), ("platform", "platform")):
            place = folder / "overlays" / "local-gpu" / application / "kustomization.yaml"
            document = yaml.safe_load(place.read_text())
            if (folder / "components" / component / part).is_dir():
                document["components"].append(f"../../../components/{component}/{part}")
                place.write_text(yaml.safe_dump(document))
        write_rendered(folder, "local-gpu", render_overlay(folder, "local-gpu"))
        return folder

    return made


def expanded(folder, overlay="local-gpu"):
    return expand([found for name, text in render_overlay(folder, overlay).items() for found in parse_objects(text, name)])


def pod_of(objects, name):
    (found,) = [one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == name]
    return found["spec"]["template"]


def named(pod, name):
    return next(container for container in pod["spec"]["containers"] if container["name"] == name)


@pytest.mark.long
@pytest.mark.parametrize("component", RESOURCES)
def test_verify_finds_nothing_wrong_and_triton_alone_gets_the_gpu(with_gpu, component):
    folder = with_gpu(component)
    assert [(finding.rule, finding.message) for finding in verify(folder, overlays=["local-gpu"]).errors] == []
    pod = pod_of(expanded(folder), "incident-sequence-predictor")
    limits = {one["name"]: one["resources"]["limits"] for one in pod["spec"]["containers"]}
    assert limits["kserve-container"][RESOURCES[component]] == "1"
    assert not any("nvidia" in name for name in limits["transformer-container"])
    assert [one["key"] for one in pod["spec"]["tolerations"]] == ["nvidia.com/gpu"]


@pytest.mark.long
@pytest.mark.parametrize("component", ["gpu-mig", "gpu-time-slicing"])
def test_a_part_of_a_gpu_without_the_plugin_s_configuration_is_found(with_gpu, component):
    folder = with_gpu(component)
    place = folder / "overlays" / "local-gpu" / "platform" / "kustomization.yaml"
    document = yaml.safe_load(place.read_text())
    document["components"].pop()
    place.write_text(yaml.safe_dump(document))
    write_rendered(folder, "local-gpu", render_overlay(folder, "local-gpu"))
    assert {finding.rule for finding in verify(folder, overlays=["local-gpu"]).errors} == {"gpu/offered"}


def test_triton_is_on_loopback_and_the_path_has_the_service():
    objects = expanded(manifests_folder())
    pod = pod_of(objects, "incident-sequence-predictor")
    triton, path = named(pod, "kserve-container"), named(pod, "transformer-container")
    assert {word for word in triton["args"] if "-address=" in word} == {f"--{name}-address=127.0.0.1" for name in ("http", "grpc", "metrics")}
    assert "ports" not in triton
    assert all("exec" in triton[probe] for probe in ("startupProbe", "readinessProbe", "livenessProbe"))
    (service,) = [one for one in objects if one["kind"] == "Service" and one["metadata"]["name"] == "incident-sequence-predictor"]
    assert service["spec"]["ports"][0]["targetPort"] == "http" or service["spec"]["ports"][0]["targetPort"] == path["ports"][0]["containerPort"]
    for container in (triton, path):
        assert {"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True} in container["volumeMounts"]


def test_the_gate_hears_from_the_runtime_s_label_that_triton_wants_a_repository():
    objects = expanded(manifests_folder())
    for name, says in (("incident-sequence-predictor", "triton"), ("incident-predictor", None)):
        pod = pod_of(objects, name)
        assert pod["metadata"]["labels"].get("presage.io/model-server") == says
        (gate,) = pod["spec"]["initContainers"]
        (variable,) = [one for one in gate["env"] if one["name"] == "PRESAGE_MODEL_SERVER"]
        assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['presage.io/model-server']"


def test_overlay_local_alone_has_nothing_of_the_gpu_family():
    assert not any("sequence" in one["metadata"]["name"] or "presage-gpu" in one["metadata"]["name"] for one in expanded(manifests_folder(), "local"))
