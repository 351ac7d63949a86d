"""Who gets in and who does not, request by request on real Envoys; every refusal is logged with its reason."""

import json

import pytest
from mesh_certificates import Authority
from mesh_objects import INCIDENT, gateway, peers, policy, route, service, tokens
from mesh_site import CLIENT, Refused, Site, lines, write_trust
from mesh_tokens import ISSUER, Issuer

from presage.governance.audit.denials import denial_of

AT_THE_GATEWAY = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "presage"}]
CONSOLE = CLIENT.removeprefix("spiffe://")
GATEWAY = "cluster.local/ns/gateway/sa/presage-istio"


@pytest.fixture(scope="module")
def issuer():
    return Issuer()


@pytest.fixture(scope="module")
def site(tmp_path_factory, issuer):
    """The access table: the console, with a token for audience `incident`, may infer; the gateway and `telemetry` may call the Pod."""
    with Site(tmp_path_factory.mktemp("mesh")) as made:
        made.pod()
        made.revoked = made.edge_authority.issue(uri=CLIENT)
        made.edge_authority.revoke(made.revoked)
        write_trust(made.edge, made.edge_authority)
        made.apply(
            service(), gateway(), route(), tokens(issuer.keys),
            peers(), peers(name="incident-metrics", selector={"matchLabels": INCIDENT}, portLevelMtls={"9090": {"mode": "PERMISSIVE"}}),
            policy("default-deny"), policy("default-deny", namespace="gateway"),
            policy("console", namespace="gateway", targetRefs=AT_THE_GATEWAY, rules=[{
                "from": [{"source": {"principals": [CONSOLE], "requestPrincipals": [f"{ISSUER}/*"]}}],
                "to": [{"operation": {"methods": ["POST", "GET"], "paths": ["/v2/*"]}}],
                "when": [{"key": "request.auth.audiences", "values": ["incident"]}],
            }]),
            policy("callers", rules=[
                {"from": [{"source": {"principals": [GATEWAY, "cluster.local/ns/models-network/sa/telemetry"]}}], "to": [{"operation": {"ports": ["8080"]}}]},
            ]),
            policy("metrics", rules=[{"to": [{"operation": {"ports": ["9090"], "methods": ["GET"], "paths": ["/metrics"]}}]}]),
        )
        yield made


def test_the_right_certificate_with_the_right_token_is_answered_and_logged_with_its_principal(site, issuer):
    answer = site.ask("/v2/models/incident/infer?key=secret", method="POST", body=b"{}", headers=issuer.bearer())
    assert (answer.status, answer.body) == (200, "incident-0")
    line = site.logged(site.gateway_log, lambda line: line.get("path") == "/v2/models/incident/infer" and line["code"] == 200)
    assert (line["principal"], line["method"], line["upstream"]) == (CLIENT, "POST", f"{site.members['incident-0'].pod.outer}:8080")
    assert "secret" not in json.dumps(line)


def test_a_token_for_several_audiences_is_one_for_each(site, issuer):
    assert site.ask("/v2", headers=issuer.bearer(audience=["somebody", "incident"])).status == 403  # /v2 is not /v2/*
    assert site.ask("/v2/", headers=issuer.bearer(audience=["somebody", "incident"])).status == 200


def test_no_certificate_is_refused(site):
    _refused_connection(site, None, "PEER_DID_NOT_RETURN_A_CERTIFICATE")


def test_a_certificate_of_a_foreign_authority_is_refused(site):
    _refused_connection(site, Authority("foreign").issue(uri=CLIENT), "unable_to_get_local_issuer_certificate")


def test_a_certificate_of_the_mesh_is_no_client_certificate(site):
    _refused_connection(site, site.workload("incident"), "unable_to_get_local_issuer_certificate")


def test_an_expired_certificate_is_refused(site):
    _refused_connection(site, site.edge_authority.issue(uri=CLIENT, expired=True), "certificate_has_expired")


def test_a_revoked_certificate_is_refused(site):
    _refused_connection(site, site.revoked, "certificate_revoked")


def test_a_name_nobody_answers_to_is_refused(site):
    with pytest.raises(Refused):
        site.ask(sni="somebody.else")
    line = site.logged(site.gateway_log, lambda line: line.get("sni") == "somebody.else")
    assert line["refused"] == "connection"


def _refused_connection(site, identity, reason):
    with pytest.raises(Refused):
        site.ask("/v2/health/ready", identity=identity)
    assert site.logged(site.gateway_log, lambda line: reason in str(line["details"]))["refused"] == "connection"


@pytest.mark.parametrize(
    ("uri", "dns"), [("spiffe://cluster.local/ns/clients/sa/stranger", ""), ("spiffe://other.domain/ns/clients/sa/console", ""), ("", CONSOLE)],
    ids=["another account", "another trust domain", "the name in a DNS entry"],
)
def test_another_identity_is_forbidden(site, issuer, uri, dns):
    path = f"/v2/{uri or 'dns'}".replace("://", "-")
    identity = site.edge_authority.issue(uri=uri, dns=dns)
    assert site.ask(path, identity=identity, headers=issuer.bearer()).status == 403
    assert "rbac_access_denied" in site.logged(site.gateway_log, lambda line: line.get("path") == path)["details"]


def test_the_right_identity_on_a_forbidden_path_is_forbidden(site, issuer):
    assert site.ask("/admin", headers=issuer.bearer()).status == 403
    line = site.logged(site.gateway_log, lambda line: line.get("path") == "/admin")
    assert (line["code"], line["principal"]) == (403, CLIENT)
    assert line["details"].startswith("rbac_access_denied")


@pytest.mark.parametrize("path", ["/v2/../admin", "/v2/%2e%2e/admin", "//admin", "/admin/v2/", "/V2/x"])
def test_a_path_in_disguise_is_judged_as_what_it_is(site, issuer, path):
    assert site.ask(path, headers=issuer.bearer()).status == 403


@pytest.mark.parametrize("path", ["/v2/..%2fadmin", "/v2/%5c..%5cadmin"])
def test_a_path_that_hides_a_slash_is_refused(site, issuer, path):
    assert site.ask(path, headers=issuer.bearer()).status == 400


def test_a_missing_token_is_forbidden(site):
    assert site.ask("/v2/missing").status == 403
    assert "rbac_access_denied" in site.logged(site.gateway_log, lambda line: line.get("path") == "/v2/missing")["details"]


@pytest.mark.parametrize(
    ("make", "status", "reason"),
    [
        (lambda issuer: issuer.token(audience="somebody-else"), 403, "Audiences_in_Jwt_are_not_allowed"),
        (lambda issuer: issuer.token(expired=True), 401, "Jwt_is_expired"),
        (lambda issuer: Issuer().token(), 401, "Jwt_verification_fails"),
        (lambda issuer: Issuer("https://elsewhere").token(), 401, "Jwt_issuer_is_not_configured"),
        (lambda issuer: issuer.token().rpartition(".")[0] + ".AAAA", 401, "Jwt_verification_fails"),
        (lambda issuer: "nonsense", 401, "Jwt_is_not_in_the_form"),
    ],
    ids=["wrong audience", "expired", "another key", "another issuer", "bad signature", "no token at all"],
)
def test_a_token_that_is_not_right_is_refused(site, issuer, make, status, reason):
    token = make(issuer)
    path = f"/v2/token/{token[-12:]}"
    assert site.ask(path, headers={"Authorization": f"Bearer {token}"}).status == status
    assert site.logged(site.gateway_log, lambda line: line.get("path") == path)["details"].startswith(f"jwt_authn_access_denied{{{reason}")


def test_a_pod_of_the_mesh_that_may_call_is_answered(site):
    assert site.ask_pod("incident-0", "/v2", identity=site.workload("telemetry")).status == 200
    line = site.logged(site.members["incident-0"].log, lambda line: line.get("path") == "/v2")
    assert line["principal"] == "spiffe://cluster.local/ns/models-network/sa/telemetry"


def test_a_pod_of_the_mesh_that_may_not_call_is_forbidden(site):
    assert site.ask_pod("incident-0", "/v2/other", identity=site.workload("other")).status == 403
    assert "rbac_access_denied" in site.logged(site.members["incident-0"].log, lambda line: line.get("path") == "/v2/other")["details"]


@pytest.mark.parametrize("kind", ["none", "foreign", "another trust domain", "expired", "no identity in it", "a client's"])
def test_who_has_no_identity_of_the_mesh_gets_no_connection(site, kind):
    identity = {
        "none": lambda: None, "foreign": lambda: Authority("foreign").issue(uri="spiffe://cluster.local/ns/models-network/sa/telemetry"),
        "another trust domain": lambda: site.mesh_authority.issue(uri="spiffe://other/ns/models-network/sa/telemetry"),
        "expired": lambda: site.workload("telemetry", expired=True), "no identity in it": lambda: site.mesh_authority.issue(dns="telemetry"),
        "a client's": lambda: site.client,
    }[kind]()
    before = len(_refusals(site))
    with pytest.raises(Refused):
        site.ask_pod("incident-0", identity=identity)
    site.logged(site.members["incident-0"].log, lambda _: len(_refusals(site)) > before)


def test_plain_text_at_a_strict_port_is_refused(site):
    with pytest.raises(Refused):
        site.ask_pod("incident-0", plain=True)
    assert site.logged(site.members["incident-0"].log, lambda line: "HTTP_REQUEST" in str(line["details"]))["refused"] == "connection"


def test_metrics_are_read_in_plain_text_and_nothing_else_is(site):
    assert site.ask_pod("incident-0", "/metrics", port=9090, plain=True).status == 200
    assert site.ask_pod("incident-0", "/v2/models/incident/infer", port=9090, plain=True).status == 403
    assert site.ask_pod("incident-0", "/metrics", port=9090, plain=True, method="POST").status == 403


def test_metrics_may_be_read_by_mutual_tls_too(site):
    assert site.ask_pod("incident-0", "/metrics", port=9090, identity=site.workload("prometheus", "monitoring")).status == 200


@pytest.mark.parametrize(("status", "why"), [
    (401, "the program or its proxy answered 401"), (403, "the program or its proxy answered 403"),
    (429, "the program itself answered 429 (over a limit, or replayed)"),
])  # fmt: skip
def test_what_the_program_itself_refuses_is_told_once_with_the_client_s_name(site, issuer, status, why):
    member, path = site.members["incident-0"], f"/v2/answers/{status}"
    backend = member.programs[8080]
    usual, backend.answer = backend.answer, lambda request: (status, 0.0)
    try:
        assert site.ask(path, headers=issuer.bearer()).status == status
    finally:
        backend.answer = usual
    for log in (site.gateway_log, member.log):
        site.logged(log, lambda line: line.get("path") == path)
    told = [denial_of(line) for log in (site.gateway_log, member.log) for line in lines(log) if line.get("path") == path]
    assert [denial[1:] for denial in told if denial] == [(CLIENT, f"GET {path}", why)]


def _refusals(site):
    from mesh_site import lines

    return [line for line in lines(site.members["incident-0"].log) if "refused" in line]


def test_every_refusal_of_real_proxies_is_known_as_one_and_no_answer_is(site):
    """What stands in their logs by now: each 401, 403 and refused certificate of above; see presage.governance.audit.denials."""
    found = [line for log in (site.gateway_log, site.members["incident-0"].log) for line in lines(log)]
    found = [line for line in found if not str(line.get("path")).startswith("/v2/answers/")]  # see above
    refused = [line for line in found if line.get("code") in (401, 403) or "CERT" in str(line.get("details")) or "HTTP_REQUEST" in str(line.get("details"))]
    told = [line for line in found if denial_of(line) is not None]
    assert [line for line in refused if line not in told] == []
    assert not [line for line in told if (line.get("code"), line["details"]) == (200, "via_upstream")]
    who = {denial_of(line).who for line in told}
    assert {"claims spiffe://other/ns/models-network/sa/telemetry", "a certificate without an identity", "no certificate"} <= who
    whys = {denial_of(line).why for line in told}
    assert {
        "no certificate was shown", "the certificate is of another authority", "the certificate has expired", "the certificate was revoked",
        "the certificate names nobody known here", "spoke without TLS", "no rule allows it", "token: Jwt is expired", "token: Jwt issuer is not configured",
    } <= whys  # fmt: skip
