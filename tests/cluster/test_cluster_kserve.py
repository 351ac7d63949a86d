"""Where KServe's controller runs: what it makes is what the expander says."""

import pytest
from cluster_compare import before_webhook, differences
from cluster_copies import services
from cluster_kubectl import wait_for

from presage.manifests.expand import made

PATIENCE = 180  # seconds for a controller to make its objects
READY = 300  # and for a predictor to serve, where the cluster can pull the image


@pytest.fixture(scope="module")
def controlled(staging):
    """(kubectl, what the expander makes of the models), once the controller has made its Deployments."""
    kubectl, objects = staging
    if not kubectl.exists("deployment", "kserve-controller-manager", "-n", "kserve"):
        pytest.skip("KServe's controller does not run in this cluster")
    wanted = [found for found in made(objects) if found["kind"] != "Secret"]
    for found in wanted:
        if found["kind"] == "Deployment":
            name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
            assert wait_for(lambda name=name, namespace=namespace: kubectl.exists("deployment", name, "-n", namespace), PATIENCE), f"no Deployment {name}"
    assert services(objects)
    return kubectl, wanted


def of_kind(wanted, kind):
    return [found for found in wanted if found["kind"] == kind]


def live(kubectl, manifest):
    return kubectl.json("get", manifest["kind"], manifest["metadata"]["name"], "-n", manifest["metadata"]["namespace"])


def test_a_deployment_is_the_expander_s_field_by_field(controlled):
    kubectl, wanted = controlled
    for deployment in of_kind(wanted, "Deployment"):
        assert list(differences(before_webhook(deployment), live(kubectl, deployment))) == []


def test_a_service_is_the_expander_s_field_by_field(controlled):
    kubectl, wanted = controlled
    for service in of_kind(wanted, "Service"):
        assert list(differences(service, live(kubectl, service))) == []


def test_a_pod_has_the_gate_and_the_server_as_the_expander_says(controlled):
    kubectl, wanted = controlled
    for deployment in of_kind(wanted, "Deployment"):
        namespace, app = deployment["metadata"]["namespace"], deployment["metadata"]["labels"]["app"]

        def pods(namespace=namespace, app=app):
            return kubectl.json("get", "pods", "-n", namespace, "-l", f"app={app}")["items"]

        assert wait_for(lambda pods=pods: bool(pods()), PATIENCE), f"{app} has no Pod: `kubectl get events -n {namespace}` says why"
        template = deployment["spec"]["template"]
        for pod in pods():
            assert list(differences(template["spec"], pod["spec"], among=True)) == []
            assert list(differences(template["metadata"]["labels"], pod["metadata"]["labels"])) == []


def test_nothing_is_made_that_the_expander_does_not_say(controlled):
    kubectl, wanted = controlled
    for kind, plural in (("Deployment", "deployments"), ("Service", "services"), ("HorizontalPodAutoscaler", "hpa")):
        for namespace in sorted({found["metadata"]["namespace"] for found in wanted}):
            items = kubectl.json("get", plural, "-n", namespace, "-l", "serving.kserve.io/inferenceservice")["items"]
            expected = {found["metadata"]["name"] for found in of_kind(wanted, kind) if found["metadata"]["namespace"] == namespace}
            assert {item["metadata"]["name"] for item in items} == expected


def test_the_routes_are_the_expander_s_once_the_predictor_is_ready(controlled):
    kubectl, wanted = controlled
    routes = of_kind(wanted, "HTTPRoute")
    assert routes
    if not wait_for(lambda: all(kubectl.exists("httproute", one["metadata"]["name"], "-n", one["metadata"]["namespace"]) for one in routes), READY, every=5):
        pytest.skip("no predictor turned Ready: KServe writes routes only then (the test's release and images exist nowhere)")
    for route in routes:
        assert list(differences(route, live(kubectl, route))) == []
