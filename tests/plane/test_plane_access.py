"""policies/access.yaml, line by line, on the running plane: who is named is answered, everybody else is refused and logged."""

import http.client
import json
import ssl
import time

import pytest
from builders.mesh_plane import PREDICT, RunningPlane
from cryptography import x509

from presage.governance.audit import VerifyingKey, read_entries, verify_log
from presage.local.authority import Authority
from presage.secrets import pki

METHOD, PATH, BODY = PREDICT


def logged(plane: RunningPlane, holds) -> dict:
    """The gateway's log line for which it holds; written a moment after the answer."""
    log = next((plane.state.plane / "logs").glob("gateway.presage-istio-*.access.log"))

    def found() -> dict | None:
        lines = (json.loads(line) for line in log.read_text().splitlines() if line.endswith("}"))
        return next((line for line in lines if holds(line)), None)

    return plane.eventually(found, seconds=10)


def refused_at_the_door(plane: RunningPlane, certificate) -> None:
    """The connection does not open, or is closed before anything is answered."""
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        plane.ask("/v2", certificate=certificate)


@pytest.mark.parametrize(
    ("account", "method", "path"),
    [
        ("operators", "POST", "/predict"), ("operators", "GET", "/servers"), ("operators", "GET", "/v2"), ("operators", "GET", "/v2/models/incident"),
        ("operators", "GET", "/v2/health/ready"), ("operators", "GET", "/openapi.json"), ("status-page", "GET", "/v2/health/live"),
        ("status-page", "GET", "/v2/health/ready"), ("status-page", "GET", "/v2/models"),
    ],
)  # fmt: skip
def test_a_client_is_answered_where_the_policy_lets_it(plane, account, method, path):
    assert plane.ask(path, method, BODY if method == "POST" else None, account=account).status == 200


@pytest.mark.parametrize(
    ("account", "method", "path"),
    [
        ("status-page", "POST", "/predict"), ("status-page", "GET", "/servers"), ("status-page", "GET", "/v2"), ("operators", "GET", "/metrics"),
        ("operators", "POST", "/v2/repository/models/incident/unload"), ("operators", "DELETE", "/v2"), ("operators", "GET", "/"),
        ("operators", "GET", "/v2/health/ready/../../../metrics"), ("operators", "GET", "/v2/%6detrics"), ("nobody", "GET", "/v2"),
        ("checkout", "POST", "/predict"),
    ],
)  # fmt: skip
def test_the_right_certificate_on_a_path_that_is_not_its_own_is_refused_and_logged(plane, account, method, path):
    answer = plane.ask(path, method, BODY if method == "POST" else None, account=account)
    assert answer.status in (400, 403)
    logged(plane, lambda line: (line.get("method"), line.get("code")) == (method, answer.status) and account in str(line.get("principal")))


def test_no_certificate_is_refused_and_logged(plane):
    refused_at_the_door(plane, None)
    assert logged(plane, lambda line: "CERTIFICATE" in json.dumps(line).upper() and not line.get("code"))


def test_a_certificate_of_a_foreign_authority_is_refused(plane, tmp_path):
    foreign = Authority.open(tmp_path / "foreign").issue(["operators.example"])
    refused_at_the_door(plane, plane.keep("foreign", foreign["tls.crt"].decode(), foreign["tls.key"].decode()))


def test_an_expired_certificate_is_refused(plane):
    short = plane.certificate("operators", ttl="2s")
    plane.eventually(lambda: _expired(short), seconds=10)
    refused_at_the_door(plane, short)


def _expired(folder) -> bool:
    return x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes()).not_valid_after_utc.timestamp() < time.time()


def test_a_revoked_certificate_is_refused_within_seconds(plane):
    certificate = plane.certificate("operators", ttl="50m")
    assert plane.ask("/v2", certificate=certificate).status == 200
    pki.revoke(plane.vault, "pki-edge", (certificate / "serial").read_text())

    def refused() -> bool:
        try:
            plane.ask("/v2", certificate=certificate)
        except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
            return True
        return False

    plane.eventually(refused, seconds=20)
    assert plane.ask("/v2").status == 200  # the others go on


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (None, 403), ({"audience": "other"}, 403), ({"seconds": -120}, 401), ({"issuer": "https://elsewhere.example"}, 401), ({"subject": "status-page"}, 403),
        ("not.a.token", 401),
    ],
)  # fmt: skip
def test_a_token_that_is_missing_wrong_or_over_is_refused(plane, token, status):
    given = plane.token(**token) if isinstance(token, dict) else token
    assert plane.ask(PATH, METHOD, BODY, token=given).status == status


def test_a_pods_own_address_is_closed_to_plain_text_and_to_strangers(plane):
    process = next(process for process in plane.record.processes if process.serves)
    plain = http.client.HTTPConnection(process.address, process.ports["http"], timeout=5)
    with pytest.raises((ConnectionError, http.client.HTTPException, OSError)):
        plain.request("GET", "/v2")
        plain.getresponse()
    context = ssl.create_default_context(cafile=plane.status.client.ca)
    context.check_hostname = False
    stranger = plane.certificate("operators")
    context.load_cert_chain(stranger / "tls.crt", stranger / "tls.key")
    direct = http.client.HTTPSConnection(process.address, process.ports["http"], timeout=5, context=context)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException, OSError)):
        direct.request("GET", "/v2")
        direct.getresponse()


def test_metrics_are_read_in_plain_text_at_their_own_port_and_nothing_else_is(plane):
    process = next(process for process in plane.record.processes if process.serves)

    def read(path: str) -> int:
        connection = http.client.HTTPConnection(process.address, process.ports["metrics"], timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status

    assert read("/metrics") == 200
    assert read("/v2") == 403


@pytest.mark.parametrize(
    ("account", "asked", "status"),
    [
        ("shop/checkout", "POST /predict", 200), ("shop/checkout", "GET /v2", 403), ("shop/checkout", "GET /servers", 403),
        ("shop/other", "POST /predict", 403), ("clients/operators", "POST /predict", 403), ("models-network/telemetry", "POST /predict", 403),
    ],
)  # fmt: skip
def test_a_pod_beside_is_answered_by_the_predictors_own_proxy_where_the_policy_lets_it(plane, tmp_path, account, asked, status):
    namespace, _, name = account.partition("/")
    method, _, path = asked.partition(" ")
    made = pki.issue(plane.vault, "pki-mesh", "workload", uri_sans=[f"spiffe://cluster.local/ns/{namespace}/sa/{name}"])
    folder = plane.keep(f"mesh-{namespace}-{name}-{made.serial[:8]}", made.certificate, made.private_key)
    (tmp_path / "ca.crt").write_text(pki.bundle(plane.vault, "pki-mesh"))
    context = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    context.check_hostname = False  # a workload is known by its SPIFFE id, not by a host's name
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    process = next(process for process in plane.record.processes if process.serves)
    connection = http.client.HTTPSConnection(process.address, process.ports["http"], timeout=10, context=context)
    connection.request(method, path, BODY if method == "POST" else None, {"content-type": "application/json"})
    assert connection.getresponse().status == status
    connection.close()


def test_whom_the_plane_denied_access_stands_in_the_audit_log(plane):
    """Of everything above, a few entries, and the log verifies."""
    audit = plane.state.root / "audit"

    def entries() -> list:
        return [entry for entry in read_entries(audit) if entry.kind == "access-denied"]

    def whys() -> set[str]:
        return {entry.facts["why"] for entry in entries()}

    def callers() -> set[tuple[str, str]]:
        return {(entry.subject.rpartition("/")[2], entry.facts["what"]) for entry in entries()}

    wanted = {
        "no certificate was shown", "the certificate is of another authority", "the certificate has expired", "the certificate was revoked",
        "no rule allows it", "spoke without TLS", "token: Jwt is expired", "token: Audiences in Jwt are not allowed",
    }  # fmt: skip
    denied = {("status-page", "POST /predict"), ("operators", "GET /metrics"), ("checkout", "GET /v2")}
    plane.eventually(lambda: wanted <= whys() and denied <= callers(), seconds=70)  # a proxy writes its log some seconds late
    assert len(entries()) < 150
    assert verify_log(audit, VerifyingKey.parse((plane.state.keys / "audit.vkey").read_text(), "audit.vkey"), None).good
