"""Certificates of callers that are refused: the file, the header, and a running server that follows the file."""

import json

import httpx2
import pytest

from benchmarks.serving_process import ServerProcess
from inference.clients.buckets import CertificateRevoked, Clients
from inference.clients.certificates import HEADER, caller, certificate
from inference.clients.limits import ClientLimits, Limit
from inference.clients.revocations import Following, RevocationsFile, parse_revocations
from presage.errors import InputError

GATEWAY = "spiffe://cluster.local/ns/gateway/sa/presage-istio"
OPERATORS = "spiffe://cluster.local/ns/clients/sa/operators"
OLD, NEW, ITS = "a" * 64, "b" * 64, "c" * 64


def through_the_gateway(fingerprint, client=OPERATORS):
    return f"By={GATEWAY};Hash={fingerprint};URI={client},By=spiffe://a/b;Hash={ITS};URI={GATEWAY}"


def listed(*certificates):
    lines = [{"sha256": sha256, "from": since, "until": 9e9, "client": OPERATORS, "because": "test"} for sha256, since in certificates]
    return json.dumps({"schema": "presage.client-revocations/v1", "certificates": lines}).encode()


class Asking:
    def __init__(self, path):
        self.wall = 1000.0
        unlimited = ClientLimits("presage.client-limits/v1", {}, Limit(1e9, 1_000_000))
        self.clients = Clients(
            unlimited, lambda: 1.0, identify=lambda header: caller(header, GATEWAY), certificate=lambda header: certificate(header, GATEWAY), probes=frozenset()
        )
        self.following = Following(RevocationsFile(path), self.clients.revoke, lambda: self.wall)

    def admitted(self, header):
        try:
            return self.clients.admit({HEADER: header.encode()}, "/predict", 1.0) == OPERATORS
        except CertificateRevoked as refused:
            assert refused.status == 403 and refused.reason == "client-revoked"
            return False


def test_the_fingerprint_is_the_one_of_whoever_the_gateway_checked():
    assert certificate(through_the_gateway(OLD).encode(), GATEWAY) == OLD
    assert certificate(f"By=spiffe://a/b;Hash={NEW.upper()};URI=spiffe://x/y".encode(), GATEWAY) == NEW
    assert certificate(f"Hash={OLD};URI={OPERATORS},By=spiffe://a/b;Hash={ITS};URI=spiffe://x/y".encode(), GATEWAY) == ITS  # its own text before it
    assert certificate(b"By=spiffe://a/b;URI=spiffe://x/y", GATEWAY) == ""


def test_a_revoked_certificate_is_refused_and_its_successor_is_not(tmp_path):
    path = tmp_path / "revocations.json"
    asking = Asking(path)
    assert asking.admitted(through_the_gateway(OLD)) and asking.admitted(through_the_gateway(NEW))
    path.write_bytes(listed((OLD, 1000.0)))
    asking.following.look()
    assert not asking.admitted(through_the_gateway(OLD)) and not asking.admitted(through_the_gateway(OLD))
    assert asking.admitted(through_the_gateway(NEW))
    path.write_bytes(listed())
    asking.following.look()
    assert asking.admitted(through_the_gateway(OLD))


def test_the_gateways_own_certificate_in_the_list_does_not_refuse_its_clients(tmp_path):
    (tmp_path / "revocations.json").write_bytes(listed((ITS, 0.0)))
    assert Asking(tmp_path / "revocations.json").admitted(through_the_gateway(OLD))


def test_old_and_new_hold_together_until_the_overlap_is_over(tmp_path):
    path = tmp_path / "revocations.json"
    path.write_bytes(listed((OLD, 1300.0)))
    asking = Asking(path)
    for wall, old in ((1000.0, True), (1299.0, True), (1300.0, False), (1e6, False)):
        asking.wall = wall
        asking.following.look()
        assert (asking.admitted(through_the_gateway(OLD)), asking.admitted(through_the_gateway(NEW))) == (old, True)


def test_a_list_that_breaks_or_goes_leaves_the_old_one_in_force(tmp_path):
    path = tmp_path / "revocations.json"
    path.write_bytes(listed((OLD, 0.0)))
    asking = Asking(path)
    for break_it in (lambda: path.write_bytes(b'{"schema": "presage.client-revocations/v1", "certificates": ['), path.unlink):
        break_it()
        asking.following.look()
        assert not asking.admitted(through_the_gateway(OLD))
    path.write_bytes(listed((NEW, 0.0)))
    asking.following.look()
    assert asking.admitted(through_the_gateway(OLD)) and not asking.admitted(through_the_gateway(NEW))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no list of revoked certificates"),
        (b'{"schema": "presage.client-revocations/v2", "certificates": []}', "v2"),
        (listed(("A" * 64, 0.0)), "sha256"),
        (listed(("ab", 0.0)), "sha256"),
        (b'{"schema": "presage.client-revocations/v1", "certificates": [], "also": 1}', "also"),
        (b'{"schema": "presage.client-revocations/v1", "certificates": [], "certificates": []}', "comes twice"),
        (b"[" * 100_000, "no list of revoked certificates"),
    ],
    ids=range(7),
)
def test_a_list_that_cannot_be_used_is_named_with_what_is_wrong(content, words):
    with pytest.raises(InputError) as refused:
        parse_revocations(content, "revocations.json")
    assert refused.value.message.startswith("revocations.json: ") and words in refused.value.message


def test_a_running_server_refuses_a_revoked_certificate_on_a_connection_that_is_open(serving_site, tmp_path):
    path = tmp_path / "revocations.json"
    flags = (f"--client_revocations={path}", "--client_identity=xfcc", f"--gateway_identity={GATEWAY}")
    with ServerProcess(serving_site, tmp_path, *flags) as server, httpx2.Client(base_url=server.address) as connection:
        old, new = ({"x-forwarded-client-cert": through_the_gateway(fingerprint)} for fingerprint in (OLD, NEW))
        assert connection.get("/v2/models", headers=old).status_code == 200
        path.write_bytes(listed((OLD, 0.0)))
        while (refused := connection.get("/v2/models", headers=old)).status_code == 200:
            pass
        assert refused.status_code == 403 and "is revoked" in refused.json()["error"]
        assert connection.get("/v2/models", headers=new).status_code == 200
        assert 'presage_refused_total{model="incident",reason="client-revoked"}' in connection.get("/metrics").text
