"""What the cluster's tests stand on, without a cluster: copies, comparison."""

import pytest
from cluster_compare import before_webhook, differences
from cluster_copies import IMAGE_DIGEST, RELEASE_DIGEST, key, renamed, rendered, resolved, services
from cluster_kubectl import wait_for

from presage.manifests.expand import expand
from presage.manifests.objects import dump_objects

POD = {"containers": [{"name": "server", "image": "x", "resources": {"limits": {"cpu": "1"}}, "env": [{"name": "A", "value": "1"}]}], "volumes": []}


@pytest.mark.long
@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_a_copy_is_resolved_throughout_and_git_is_not(overlay):
    objects = rendered(overlay)
    copy = resolved(objects)
    assert "unresolved" in dump_objects(objects)
    assert "unresolved" not in dump_objects(found for found in copy if found["kind"] != "ValidatingAdmissionPolicy")  # whose own words speak of it
    assert {one["spec"]["predictor"]["model"]["storageUri"] for one in services(copy)} == {f"presage://incident:1@{RELEASE_DIGEST}"}
    assert IMAGE_DIGEST in dump_objects(copy)


def test_what_judges_comes_before_what_is_judged():
    kinds = [found["kind"] for found in rendered("production")]
    assert kinds.index("Namespace") < kinds.index("ValidatingAdmissionPolicy") < kinds.index("InferenceService")


def test_an_object_is_asked_under_another_name():
    service = services(rendered("staging"))[0]
    assert key(renamed(service))[3] == "incident-sequence"  # a model that a policy speaks of, and that is not there
    assert key(renamed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}))[3] == "asked"
    assert service["metadata"]["name"] == "incident"


def test_a_resolved_overlay_expands():
    assert any(found["kind"] == "HTTPRoute" for found in expand(resolved(rendered("production"))))


def test_defaults_of_the_server_are_no_difference():
    live = {**POD, "dnsPolicy": "ClusterFirst", "volumes": None, "containers": [{**POD["containers"][0], "terminationMessagePath": "/dev/termination-log"}]}
    assert list(differences(POD, live)) == []


@pytest.mark.parametrize(("wanted", "live"), [("1000m", "1"), ("1", 1), ("1Gi", "1024Mi"), (0.5, 0.5), ({}, None), ([], None), ("", None)])
def test_equal_amounts_and_nothing_at_all_are_no_difference(wanted, live):
    assert list(differences({"field": wanted}, {"field": live})) == []


@pytest.mark.parametrize(("wanted", "live", "says"), [
    ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b: wanted 1, there is 2"),
    ({"a": 1}, {}, "a: wanted 1, there is None"),
    ({"a": True}, {"a": 1}, "a: wanted True"),
    ({"a": [1, 2]}, {"a": [1]}, "a: wanted 2 items"),
    ({"a": [{"name": "x"}, {"name": "y"}]}, {"a": [{"name": "y"}, {"name": "x"}]}, "a[0].name"),
])  # fmt: skip
def test_a_difference_names_its_field_and_both_values(wanted, live, says):
    assert next(differences(wanted, live)).startswith(says)


def test_in_a_pod_others_may_stand_between_and_the_order_counts():
    live = {"initContainers": [{"name": "istio-proxy"}, {"name": "gate"}, {"name": "second"}]}
    assert list(differences({"initContainers": [{"name": "gate"}, {"name": "second"}]}, live, among=True)) == []
    assert "stands before" in next(differences({"initContainers": [{"name": "second"}, {"name": "gate"}]}, live, among=True))
    assert "wanted ['absent']" in next(differences({"initContainers": [{"name": "absent"}]}, live, among=True))


def test_what_the_pod_webhook_adds_is_not_asked_of_a_deployment():
    deployment = next(found for found in expand(resolved(rendered("staging"))) if found["kind"] == "Deployment" and "predictor" in found["metadata"]["name"])
    template = before_webhook(deployment)["spec"]["template"]["spec"]
    assert template["initContainers"] == []
    assert all(mount["name"] != "kserve-provision-location" for container in template["containers"] for mount in container["volumeMounts"])
    assert deployment["spec"]["template"]["spec"]["initContainers"]  # the expander's own is not touched


def test_waiting_ends_when_it_holds_and_when_time_is_up():
    answers = iter([False, True])
    assert wait_for(lambda: next(answers), 5, every=0)
    assert not wait_for(lambda: False, 0)
