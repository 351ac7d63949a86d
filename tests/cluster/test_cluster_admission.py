"""The gate's admission policy as a real API server judges it: what we write passes, every way past the gate is refused."""

from copy import deepcopy

import pytest
from cluster_copies import RELEASE_DIGEST, renamed, rendered, resolved, services
from test_admission_policy import PAST_THE_GATE

from presage.manifests.objects import parse_objects
from presage.manifests.render import manifests_folder

POLICY = "presage-releases"
MODEL = {"name": "kserve-container", "modelFormat": {"name": "presage", "version": "1"}, "storageUri": f"presage://incident:2@{RELEASE_DIGEST}"}


def canary_of(service, **over):
    copy = deepcopy(service)
    predictor = {"name": "canary", "minReplicas": 1, "annotations": {"serving.kserve.io/autoscalerClass": "none"}, "model": {**MODEL}, **over}
    copy["spec"]["canary"] = [{"trafficPercent": 5, "predictor": predictor}]
    return copy


@pytest.fixture(scope="module")
def judge(staging):
    """(kubectl, a service that is allowed)."""
    kubectl, objects = staging
    return kubectl, renamed(next(found for found in services(objects) if found["metadata"]["namespace"] == "models-network"))


def refused(answer):
    return not answer.allowed and f"ValidatingAdmissionPolicy '{POLICY}'" in answer.said


def test_the_overlay_s_own_service_is_allowed(judge):
    kubectl, service = judge
    answer = kubectl.ask(service)
    assert answer.allowed, answer.said


def test_a_canary_by_digest_is_allowed(judge):
    kubectl, service = judge
    answer = kubectl.ask(canary_of(service))
    assert answer.allowed, answer.said


def test_the_shadow_is_allowed_once_its_release_is_named(judge):
    kubectl, _ = judge
    text = (manifests_folder() / "components" / "shadow" / "inferenceservice.yaml").read_text()
    (shadow,) = resolved(parse_objects(text, "shadow"))
    shadow["metadata"]["namespace"] = "models-network"
    answer = kubectl.ask(shadow)
    assert answer.allowed, answer.said


@pytest.mark.parametrize("uri", ["presage://incident:0@unresolved", "presage://incident:local", "presage://incident:1", "s3://models/incident"])
def test_a_release_that_is_not_named_by_its_digest_is_refused(judge, uri):
    kubectl, service = judge
    stable, canary = deepcopy(service), canary_of(service, model={**MODEL, "storageUri": uri})
    stable["spec"]["predictor"]["model"]["storageUri"] = uri
    for manifest in (stable, canary):
        answer = kubectl.ask(manifest)
        assert refused(answer), answer.said
        assert "presage release publish" in answer.said  # the remedy


@pytest.mark.parametrize(("change", "said"), [pytest.param(change, said, id=what) for what, change, said in PAST_THE_GATE])
def test_a_way_past_the_gate_is_refused_in_the_predictor_and_in_a_canary(judge, change, said):
    kubectl, service = judge
    stable, canary = deepcopy(service), canary_of(service)
    change(stable["spec"]["predictor"])
    change(canary["spec"]["canary"][0]["predictor"])
    for manifest in (stable, canary):
        answer = kubectl.ask(manifest)
        assert not answer.allowed, said
        # what the kind's own schema refuses never comes as far as the policy
        assert refused(answer) or "is invalid" in answer.said or "strict decoding error" in answer.said, answer.said


@pytest.mark.parametrize("overlay", ["staging", "production", "local"])
def test_the_copies_left_unresolved_are_refused(judge, overlay):
    kubectl, _ = judge
    found = [renamed(one) for one in services(rendered(overlay)) if one["metadata"]["namespace"] == "models-network"]
    assert found
    assert all(refused(kubectl.ask(one)) for one in found)


def test_a_second_storage_container_for_releases_is_refused(judge, staging):
    kubectl, objects = staging
    other = renamed(next(found for found in objects if found["kind"] == "ClusterStorageContainer"), "other")
    answer = kubectl.ask(other)
    assert refused(answer), answer.said


def test_a_workload_with_an_image_by_its_tag_is_refused_beside_the_models(judge, staging):
    kubectl, objects = staging
    workload = renamed(next(found for found in objects if found["kind"] == "Deployment" and found["metadata"]["namespace"] == "models-network"))
    assert kubectl.ask(workload).allowed
    workload["spec"]["template"]["spec"]["containers"][0]["image"] = "presage/serving:0.1.0"
    answer = kubectl.ask(workload)
    assert refused(answer), answer.said
