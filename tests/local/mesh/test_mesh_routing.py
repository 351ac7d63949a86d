"""Where requests go: shares, header matches, retries, and what a Service in trouble gets, all on real Envoys."""

import collections
import math

import pytest
from mesh_objects import backend, destination, gateway, limit, peers, policy, route, service
from mesh_site import HOST, Site, eventually

CANARY = "incident-canary-predictor"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Two Pods behind the stable Service, one behind the canary's; each test applies the routes it needs."""
    with Site(tmp_path_factory.mktemp("mesh")) as made:
        made.pod("incident-0")
        made.pod("incident-1")
        made.pod("canary-0", {"app": f"isvc.{CANARY}"})
        yield made


@pytest.fixture
def mesh(shared):
    for member in shared.members.values():
        for program in member.programs.values():
            program.answer, program.count, program.most_at_once = lambda request: (200, 0.0), 0, 0
            program.requests.clear()
    return shared


def apply(site, *objects):
    everyone = policy("all", rules=[{}])
    site.apply(service(), service(CANARY), gateway(), peers(), everyone, *objects)


@pytest.mark.slow
def test_a_canary_gets_its_share_of_twenty_thousand_requests(mesh):
    apply(mesh, route(backend("incident-predictor", 95), backend(CANARY, 5)))
    with mesh.load() as load:
        load.reset()
        load.go_on(20_000, patience=60)
    total, canary = load.answers.total(), load.answers[200, "canary-0"]
    deviation = math.sqrt(total * 0.05 * 0.95)
    assert load.failures == []
    assert abs(canary - total * 0.05) < 4 * deviation, f"{canary} of {total}"
    assert abs(load.answers[200, "incident-0"] - load.answers[200, "incident-1"]) < 0.1 * total


def test_a_header_leads_to_the_canary_whatever_its_share(mesh):
    exact = {"matches": [{"headers": [{"name": "x-canary", "value": "always"}]}], "backendRefs": [backend(CANARY)]}
    pattern = {"matches": [{"headers": [{"name": "x-canary", "type": "RegularExpression", "value": "team-.*"}]}], "backendRefs": [backend(CANARY)]}
    apply(mesh, route(rules=[{"backendRefs": [backend("incident-predictor")]}, exact, pattern]))
    assert {mesh.ask(headers={"x-canary": value}).body for value in ("always", "team-network")} == {"canary-0"}
    assert mesh.ask().body != "canary-0"
    assert mesh.ask(headers={"x-canary": "sometimes"}).body != "canary-0"


def test_the_closest_path_wins_over_the_order_of_rules(mesh):
    def to(name, kind, value, **match):
        return {"matches": [{"path": {"type": kind, "value": value}, **match}], "backendRefs": [backend(name)]}

    apply(mesh, route(rules=[
        to("incident-predictor", "RegularExpression", "^/.*$"), to("incident-predictor", "PathPrefix", "/v2"), to(CANARY, "PathPrefix", "/v2/models/"),
        to("incident-predictor", "Exact", "/v2/models/x"), to(CANARY, "Exact", "/v2/models/x", method="POST"),
    ]))
    went = {(method, path): mesh.ask(path, method=method).body == "canary-0" for method, path in (
        ("GET", "/v2/models"), ("GET", "/v2/models/y"), ("GET", "/v2/modelsx"), ("GET", "/v2/models/x"), ("POST", "/v2/models/x"), ("GET", "/other"),
    )}
    assert went == {
        ("GET", "/v2/models"): True, ("GET", "/v2/models/y"): True, ("GET", "/v2/modelsx"): False, ("GET", "/v2/models/x"): False,
        ("POST", "/v2/models/x"): True, ("GET", "/other"): False,
    }


def test_a_host_without_a_route_is_not_found(mesh):
    apply(mesh, route())
    assert mesh.ask(host="other.presage.local").status == 404
    assert mesh.ask(host=f"{HOST.upper()}:8443").status == 200


def test_headers_are_set_added_and_removed_on_the_way(mesh):
    modifier = {"set": [{"name": "KServe-Isvc-Name", "value": "incident"}], "add": [{"name": "x-seen", "value": "100%"}], "remove": ["x-secret"]}
    apply(mesh, route(filters=[{"type": "RequestHeaderModifier", "requestHeaderModifier": modifier}]))
    mesh.ask(headers={"kserve-isvc-name": "forged", "x-seen": "before", "x-secret": "1"})
    [headers] = [request.headers for member in mesh.members.values() for request in member.programs[8080].requests]
    assert headers["kserve-isvc-name"] == "incident"
    assert "100%" in headers["x-seen"]
    assert "x-secret" not in headers


def test_a_request_that_takes_longer_than_its_route_allows_is_ended(mesh):
    apply(mesh, route(timeouts={"request": "300ms"}))
    for name in ("incident-0", "incident-1"):
        mesh.members[name].programs[8080].answer = lambda request: (200, 2.0)
    assert mesh.ask("/slow").status == 504
    assert mesh.logged(mesh.gateway_log, lambda line: line.get("path") == "/slow")["flags"] == "UT"


def test_what_one_pod_cannot_answer_another_does(mesh):
    apply(mesh, route())
    mesh.members["incident-0"].programs[8080].answer = lambda request: (503, 0.0)
    assert [mesh.ask("/retried").status for _ in range(20)] == [200] * 20
    assert mesh.members["incident-0"].programs[8080].count > 0
    mesh.logged(mesh.gateway_log, lambda line: line.get("path") == "/retried" and line["attempts"] > 1)


def test_what_may_have_had_an_effect_is_not_tried_again(mesh):
    apply(mesh, route())
    for name in ("incident-0", "incident-1"):
        mesh.members[name].programs[8080].answer = lambda request: (500, 0.0)
    assert mesh.ask(method="POST", body=b"{}").status == 500
    assert sum(mesh.members[name].programs[8080].count for name in ("incident-0", "incident-1")) == 1


def test_a_pod_that_keeps_failing_is_left_out_for_a_while_then_asked_again(mesh):
    outliers = {"consecutive5xxErrors": 3, "interval": "1s", "baseEjectionTime": "2s", "maxEjectionPercent": 50}
    apply(mesh, route(), destination(outlierDetection=outliers))
    failing = mesh.members["incident-0"].programs[8080]
    failing.answer = lambda request: (500, 0.0)
    statuses = collections.Counter(mesh.ask().status for _ in range(60))
    assert statuses[500] == 3
    assert failing.count == 3
    failing.answer = lambda request: (200, 0.0)
    eventually(lambda: mesh.ask().body == "incident-0", 15, lambda: "the Pod is never asked again")


def test_the_only_pod_is_left_out_too_unless_the_rule_says_otherwise(mesh):
    """minHealthPercent is Istio's word for the panic threshold: 0, unless written, never sends to an ejected Pod."""
    failing = mesh.members["canary-0"].programs[8080]
    outliers = {"consecutive5xxErrors": 2, "interval": "1s", "baseEjectionTime": "30s", "maxEjectionPercent": 100}
    failing.answer = lambda request: (500, 0.0)
    apply(mesh, route(backend(CANARY)), destination(CANARY, outlierDetection=outliers))
    assert [mesh.ask().status for _ in range(4)] == [500, 500, 503, 503]
    apply(mesh, route(backend(CANARY)), destination(CANARY, outlierDetection=outliers | {"minHealthPercent": 50}))
    assert [mesh.ask().status for _ in range(4)] == [500] * 4


def test_more_requests_than_the_limit_are_turned_away(mesh):
    apply(mesh, route(), limit(10))
    statuses = collections.Counter(mesh.ask("/limited").status for _ in range(30))
    assert statuses == {200: 10, 429: 20}
    assert mesh.logged(mesh.gateway_log, lambda line: line.get("code") == 429)["details"] == "local_rate_limited"


def test_more_requests_at_once_than_a_service_takes_are_turned_away_at_once(mesh):
    pool = {"tcp": {"maxConnections": 2}, "http": {"http1MaxPendingRequests": 1, "maxRetries": 1}}
    apply(mesh, route(backend(CANARY)), destination(CANARY, connectionPool=pool))
    slow = mesh.members["canary-0"].programs[8080]
    slow.answer = lambda request: (200, 0.2)
    with mesh.load(clients=8) as load:
        load.go_on(200)
    assert load.failures == []
    assert load.statuses == {200, 503}
    assert slow.most_at_once <= 3
    assert mesh.logged(mesh.gateway_log, lambda line: "UO" in str(line.get("flags")))["code"] == 503


def test_a_service_without_a_ready_pod_is_unavailable_at_once(mesh):
    apply(mesh, route(backend(CANARY)))
    mesh.ready("canary-0", False)
    mesh.apply()
    assert mesh.ask("/nobody").status == 503
    assert mesh.logged(mesh.gateway_log, lambda line: line.get("path") == "/nobody")["flags"] == "UH"
    mesh.ready("canary-0")
    mesh.apply()
    assert mesh.ask("/somebody").status == 200
