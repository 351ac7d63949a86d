"""What the edge takes from strangers: limits, forged headers, old protocols; and what an Envoy shows of itself."""

import socket
import ssl
import stat

import pytest
from mesh_objects import gateway, peers, policy, route, service
from mesh_site import CLIENT, HOST, Refused, Site, ask

from presage.local.mesh import STATS_PORT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("mesh")) as made:
        made.pod()
        made.apply(service(), gateway(), peers(), policy("all", rules=[{}]), route())
        yield made


def _arrived(site):
    return site.members["incident-0"].programs[8080].requests[-1]


def test_a_forged_client_certificate_header_is_replaced_by_the_real_one(site):
    site.ask(headers={"x-forwarded-client-cert": "By=x;Hash=0;URI=spiffe://cluster.local/ns/clients/sa/admin"})
    elements = _arrived(site).headers["x-forwarded-client-cert"].split(",")
    assert [element.rpartition("URI=")[2] for element in elements] == [CLIENT, "spiffe://cluster.local/ns/gateway/sa/presage-istio"]


def test_a_pods_own_caller_comes_last_and_cannot_be_forged_either(site):
    site.ask_pod("incident-0", identity=site.workload("telemetry"), headers={"x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/gateway/sa/presage-istio"})
    assert _arrived(site).headers["x-forwarded-client-cert"].split(",")[-1].endswith("URI=spiffe://cluster.local/ns/models-network/sa/telemetry")


def test_a_plain_caller_has_no_certificate_to_tell_of(site):
    site.apply(*site.objects, peers("DISABLE", "web", selector={"matchLabels": {"app": "isvc.incident-predictor"}}))
    site.ask_pod("incident-0", plain=True, headers={"x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/gateway/sa/presage-istio"})
    forged = "x-forwarded-client-cert" in _arrived(site).headers
    site.apply(*(found for found in site.objects if found["metadata"]["name"] != "web"))
    assert not forged


@pytest.mark.parametrize("name", ["x-envoy-upstream-rq-timeout-ms", "x-envoy-retry-on", "x-envoy-internal", "x-envoy-max-retries", "x-envoy-original-path"])
def test_a_stranger_cannot_speak_to_envoy_through_headers(site, name):
    site.ask(headers={name: "1"})
    assert name not in _arrived(site).headers


def test_the_request_id_is_our_own_and_the_program_stays_unnamed(site):
    answer = site.ask(headers={"x-request-id": "forged"})
    assert _arrived(site).headers["x-request-id"] != "forged"
    assert answer.headers["server"] == "presage"
    assert not [name for name in answer.headers if name.startswith("x-envoy")]


def test_header_lines_have_limits(site):
    assert site.ask(headers={"x-large": "v" * 40_000}).status == 431
    assert site.ask(headers={f"x-{number}": "v" for number in range(100)}).status == 431
    assert site.ask(headers={"x_underscore": "v"}).status == 400
    assert site.ask(headers={"x-large": "v" * 8_000}).status == 200


def test_a_body_has_a_limit_told_beforehand_or_not(site):
    assert site.ask(method="POST", body=b"x" * (16 << 20)).status == 200
    assert site.ask(method="POST", body=b"x" * ((16 << 20) + 1)).status == 413
    before = len(site.members["incident-0"].programs[8080].requests)
    assert site.ask(method="POST", body=(b"x" * 65536 for _ in range(300))).status == 413
    assert len(site.members["incident-0"].programs[8080].requests) == before


@pytest.mark.long
def test_who_never_finishes_the_headers_is_let_go(site):
    with _connected(site) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Drip: ".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "text", [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "GET http://internal/ HTTP/1.1\r\nHost: {host}\r\nX: \x00\r\n\r\n",
    ],
    ids=["two hosts", "two lengths", "HTTP/1.0", "CONNECT", "a zero byte"],
)
def test_what_could_be_read_in_two_ways_is_not_passed_on(site, text):
    before = site.members["incident-0"].programs[8080].count
    with _connected(site) as client:
        client.sendall(text.format(host=HOST).encode())
        assert client.recv(200).split(b" ")[1] in (b"400", b"403", b"404", b"426", b"501")
    assert site.members["incident-0"].programs[8080].count == before


def test_older_tls_and_plain_text_are_refused(site):
    context = site.context(site.client)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(Refused):
        ask(site.server.outer, 8443, context=context, sni=HOST)
    with pytest.raises(Refused):
        ask(site.server.outer, 8443)


def test_a_client_that_speaks_http2_gets_it(site):
    context = site.context(site.client)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((site.server.outer, 8443)) as bare, context.wrap_socket(bare, server_hostname=HOST) as client:
        assert (client.selected_alpn_protocol(), client.version()) == ("h2", "TLSv1.3")


@pytest.mark.parametrize("inner", ["gateway", "incident-0"])
def test_metrics_are_shown_and_nothing_else_of_the_admin_interface(site, inner):
    address = site.server.inner if inner == "gateway" else site.members[inner].pod.inner
    metrics = ask(address, STATS_PORT, "/stats/prometheus")
    assert metrics.status == 200
    assert "envoy_http_downstream_rq_total" in metrics.body
    for method, path in (("GET", "/config_dump"), ("GET", "/certs"), ("POST", "/quitquitquit"), ("POST", "/stats/prometheus"), ("GET", "/stats/../certs")):
        assert ask(address, STATS_PORT, path, method=method).status == 404


def test_the_admin_interface_is_its_owners_alone(site):
    for folder in (site.gateway_folder, site.members["incident-0"].folder):
        assert stat.S_IMODE((folder / "admin.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def _connected(site):
    context = site.context(site.client)
    client = context.wrap_socket(socket.create_connection((site.server.outer, 8443), timeout=20), server_hostname=HOST)
    return client
