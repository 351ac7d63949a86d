"""What a Pod's own programs call: through their Envoy, as their Pod, only Pods that are who they should be."""

import pytest
from mesh_objects import destination, peers, policy, service, thing
from mesh_site import Refused, Site, ask

from presage.errors import PlaneError

HOST = "incident-predictor.models-network.svc.cluster.local"
TELEMETRY = "cluster.local/ns/models-network/sa/telemetry"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("mesh")) as made:
        made.pod()
        made.pod("telemetry-0", {"app": "telemetry"}, "telemetry", outbound=(HOST,))
        made.pod("other-0", {"app": "other"}, "other", outbound=(HOST,))
        made.pod("plain-0", {"app": "plain"}, "plain", sidecar=False)
        yield made


@pytest.fixture
def mesh(site):
    """Everybody STRICT, `telemetry` allowed; Pods that an earlier test left in plain text come back by way of PERMISSIVE."""
    for name in ("telemetry-0", "other-0"):
        site.members[name].outbound = {HOST: site.address(f"{name} to {HOST}")}
    for mode in ("PERMISSIVE", "STRICT"):
        site.apply(service(), service("plain", {"app": "plain"}), peers(mode), policy("callers", rules=[{"from": [{"source": {"principals": [TELEMETRY]}}]}]))
    return site


def call(site, name, path="/v2"):
    return ask(site.members[name].outbound[HOST], 80, path, host="incident-predictor")


def test_a_call_to_a_service_arrives_as_the_pod_that_makes_it(mesh):
    answer = call(mesh, "telemetry-0")
    assert (answer.status, answer.body) == (200, "incident-0")
    line = mesh.logged(mesh.members["incident-0"].log, lambda line: line.get("path") == "/v2" and line["code"] == 200)
    assert line["principal"] == f"spiffe://{TELEMETRY}"


def test_who_may_not_call_is_forbidden_by_the_pod_that_is_called(mesh):
    assert call(mesh, "other-0").status == 403


def test_a_server_that_is_not_who_the_service_says_is_not_spoken_to(mesh):
    impostor = mesh.pod("incident-1")
    mesh.workload("impostor").write(impostor.certificates)
    mesh.ready("incident-0", False)
    mesh.apply()
    assert call(mesh, "telemetry-0", "/impostor").status == 503
    line = mesh.logged(mesh.members["telemetry-0"].log, lambda line: line.get("path") == "/impostor")
    assert "SAN_matcher" in line["upstream_failure"]
    assert impostor.programs[8080].count == 0
    mesh.end("incident-1")
    mesh.ready("incident-0")


def test_a_pod_without_an_envoy_is_called_in_plain_text_unless_the_rule_wants_mutual_tls(mesh):
    plain = "plain.models-network.svc.cluster.local"
    caller = mesh.members["telemetry-0"]
    caller.outbound[plain] = mesh.address("telemetry-0 to plain")
    mesh.apply()
    assert ask(caller.outbound[plain], 80).body == "plain-0"
    mesh.apply(*mesh.objects, destination("plain", tls={"mode": "ISTIO_MUTUAL"}, connectionPool={"tcp": {"connectTimeout": "200ms"}}))
    assert ask(caller.outbound[plain], 80).status == 503


def test_a_port_that_takes_no_mutual_tls_is_called_without(mesh):
    mesh.apply(
        service(), policy("all", rules=[{}]), peers("PERMISSIVE"),
        peers("PERMISSIVE", "web", selector={"matchLabels": {"app": "isvc.incident-predictor"}}, portLevelMtls={"8080": {"mode": "DISABLE"}}),
    )
    assert call(mesh, "telemetry-0", "/plain").status == 200
    assert mesh.logged(mesh.members["incident-0"].log, lambda line: line.get("path") == "/plain")["principal"] is None


def test_a_service_that_is_no_http_is_passed_through_where_no_pod_of_the_mesh_is_behind_it(mesh):
    vault, caller = "vault.models-network.svc.cluster.local", mesh.members["telemetry-0"]
    caller.outbound[vault] = mesh.address("telemetry-0 to vault")
    mesh.apply(*mesh.objects, service("vault", {"app": "plain"}, port={"name": "https", "port": 8200}))
    assert ask(caller.outbound[vault], 8200).body == "plain-0"


def test_a_service_that_the_namespace_may_not_call_is_not_reached(mesh):
    caller = mesh.members["telemetry-0"]
    before = tuple(mesh.objects)
    assert call(mesh, "telemetry-0").status == 200
    mesh.apply(*before, thing("networking.istio.io/v1", "Sidecar", "egress", egress=[{"hosts": ["vault/*"]}], outboundTrafficPolicy={"mode": "REGISTRY_ONLY"}))
    with pytest.raises(Refused):
        call(mesh, "telemetry-0")
    mesh.apply(*before, thing("networking.istio.io/v1", "Sidecar", "egress", egress=[{"hosts": ["vault/*", "./*"]}]))
    assert call(mesh, "telemetry-0").status == 200
    assert mesh.mesh.callable_from(caller.pod) == ["incident-predictor.models-network.svc.cluster.local", "plain.models-network.svc.cluster.local"]


def test_an_address_for_a_service_that_is_not_there_is_refused(mesh):
    mesh.members["telemetry-0"].outbound["nobody.models-network.svc.cluster.local"] = "127.1.1.1"
    with pytest.raises(PlaneError, match="there is no such Service"):
        mesh.apply()


def test_a_pod_of_the_mesh_is_not_reached_in_plain_text_past_its_envoy(mesh):
    with pytest.raises(Refused):
        mesh.ask_pod("incident-0", plain=True)
