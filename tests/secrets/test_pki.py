"""Certificates of a real authority: what each role issues, revocation, and the change of the authority, seen by TLS itself."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from builders.handshake import shake
from builders.openbao import OpenBao
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from presage.secrets.answers import names
from presage.secrets.errors import AccessRefused, ConfigurationRefused, SecretMissing
from presage.secrets.pki import Certificate, bundle, crl, issue, issuers, retire_issuer, revoke, rotate_issuer, use_issuer
from presage.secrets.vault import connect

CHECKOUT = "spiffe://cluster.local/ns/shop/sa/checkout"
OPERATORS = "spiffe://cluster.local/ns/clients/sa/operators"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Of a server whose authorities this module changes."""
    with OpenBao.started(tmp_path_factory.mktemp("openbao"), raft=False) as server:
        server.configure()
        yield server.root()


def parsed(made: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(made.certificate.encode())


def workload(root, identity=CHECKOUT, **options):
    return issue(root, "pki-mesh", "workload", uri_sans=[identity], **options)


def test_a_workloads_certificate_says_its_identity_and_nothing_else(root):
    certificate = parsed(workload(root, ttl="1h"))
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [name.value for name in alternatives.value] == [CHECKOUT]
    assert alternatives.critical
    assert not certificate.subject
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_what_is_issued_fits_together_and_keeps_its_key_out_of_sight(root):
    made = workload(root, ttl="1h")
    assert made.not_after == parsed(made).not_valid_after_utc
    assert int(made.serial.replace(":", ""), 16) == parsed(made).serial_number
    assert timedelta(minutes=59) < made.not_after - datetime.now(UTC) <= timedelta(hours=1)
    assert "PRIVATE KEY" in made.private_key
    assert "PRIVATE KEY" not in repr(made)
    parsed(made).verify_directly_issued_by(x509.load_pem_x509_certificate(made.chain.encode()))


def test_the_gateways_certificate_is_a_servers_and_a_clients_a_clients(root):
    gateway = parsed(issue(root, "pki-edge", "gateway", common_name="*.presage.local"))
    client = parsed(issue(root, "pki-edge", "client", uri_sans=[OPERATORS]))
    usages = [list(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) for found in (gateway, client)]
    assert usages == [[ExtendedKeyUsageOID.SERVER_AUTH], [ExtendedKeyUsageOID.CLIENT_AUTH]]
    assert gateway.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["*.presage.local"]


REFUSED = {
    "gateway: other domain": ("pki-edge", "gateway", {"common_name": "presage.example"}),
    "gateway: a domain that ends alike": ("pki-edge", "gateway", {"common_name": "evilpresage.local"}),
    "gateway: the bare domain": ("pki-edge", "gateway", {"common_name": "presage.local"}),
    "gateway: one good name and one bad": ("pki-edge", "gateway", {"common_name": "*.presage.local", "alt_names": ["bank.example"]}),
    "gateway: localhost": ("pki-edge", "gateway", {"common_name": "localhost"}),
    "gateway: an identity": ("pki-edge", "gateway", {"common_name": "*.presage.local", "uri_sans": [OPERATORS]}),
    "gateway: no name": ("pki-edge", "gateway", {}),
    "client: an identity of the mesh": ("pki-edge", "client", {"uri_sans": ["spiffe://cluster.local/ns/gateway/sa/presage-istio"]}),
    "client: another trust domain": ("pki-edge", "client", {"uri_sans": ["spiffe://other.local/ns/clients/sa/operators"]}),
    "client: a name": ("pki-edge", "client", {"common_name": "gateway.presage.local", "uri_sans": [OPERATORS]}),
    "workload: another trust domain": ("pki-mesh", "workload", {"uri_sans": ["spiffe://cluster.locals/ns/shop/sa/checkout"]}),
    "workload: no account": ("pki-mesh", "workload", {"uri_sans": ["spiffe://cluster.local/ns/shop"]}),
    "workload: an address, not an id": ("pki-mesh", "workload", {"uri_sans": ["https://cluster.local/ns/shop/sa/checkout"]}),
    "workload: a name": ("pki-mesh", "workload", {"common_name": "checkout", "uri_sans": [CHECKOUT]}),
}


@pytest.mark.parametrize(("mount", "role", "request_"), REFUSED.values(), ids=list(REFUSED))
def test_a_role_issues_nothing_but_what_it_is_for(root, mount, role, request_):
    with pytest.raises(ConfigurationRefused, match=f"cannot write {mount}/issue/{role}: "):
        issue(root, mount, role, **request_)


@pytest.mark.parametrize(("mount", "role", "request_", "longest"), [
    ("pki-mesh", "workload", {"uri_sans": [CHECKOUT]}, timedelta(days=1)),
    ("pki-edge", "client", {"uri_sans": [OPERATORS]}, timedelta(days=30)),
    ("pki-edge", "gateway", {"common_name": "*.presage.local"}, timedelta(days=30)),
])  # fmt: skip
def test_a_role_cuts_a_life_that_is_too_long(root, mount, role, request_, longest):
    made = issue(root, mount, role, ttl="9000h", **request_)
    assert longest - timedelta(minutes=1) < made.not_after - datetime.now(UTC) <= longest


def test_a_mount_and_a_role_that_are_not_there_are_said(root):
    with pytest.raises(ConfigurationRefused, match=r"pki-mesh/issue/nobody: unknown role: nobody"):
        issue(root, "pki-mesh", "nobody", uri_sans=[CHECKOUT])
    with pytest.raises(SecretMissing, match="pki-none"):
        bundle(root, "pki-none")


def test_the_gateways_account_issues_its_certificate_and_no_clients(openbao, tmp_path):
    client = connect(openbao.settings("gateway", "presage-istio", tmp_path / "token"))
    assert issue(client, "pki-edge", "gateway", common_name="*.presage.local").serial
    with pytest.raises(AccessRefused):
        issue(client, "pki-edge", "client", uri_sans=[OPERATORS])


def test_a_revoked_certificate_is_listed_at_once_and_refused_by_tls_alone_of_all(root):
    server, lost, other = workload(root), workload(root), workload(root)
    trusted = bundle(root, "pki-mesh")
    shake(server, lost, trusted, crl(root, "pki-mesh"))
    revoke(root, "pki-mesh", lost.serial)
    revoked = crl(root, "pki-mesh")
    listed = x509.load_pem_x509_crl(revoked.encode())
    assert parsed(lost).serial_number in {entry.serial_number for entry in listed}
    assert listed.next_update_utc - datetime.now(UTC) > timedelta(days=2)
    with pytest.raises(ssl.SSLError, match="revoked"):
        shake(server, lost, trusted, revoked)
    shake(server, other, trusted, revoked)


def test_a_serial_that_was_never_issued_is_refused(root):
    with pytest.raises(ConfigurationRefused, match="certificate with serial 12:34 not found"):
        revoke(root, "pki-mesh", "12:34")


@pytest.mark.parametrize("mount", ["pki-mesh", "pki-edge"])
def test_the_change_of_an_authority_refuses_nobody_on_its_way(root, mount):
    def identity():
        return workload(root) if mount == "pki-mesh" else issue(root, mount, "client", uri_sans=[OPERATORS])

    def door():
        return workload(root) if mount == "pki-mesh" else issue(root, mount, "gateway", common_name="*.presage.local")

    name = None if mount == "pki-mesh" else "incident.presage.local"
    old_bundle, old_server, old_client = bundle(root, mount), door(), identity()

    new = rotate_issuer(root, mount, default=False)
    both = bundle(root, mount)
    assert both.count("BEGIN") == 2
    between = identity()
    shake(old_server, between, old_bundle, name=name)  # whoever has not read the new bundle yet is served by old certificates

    use_issuer(root, mount, new)
    new_server, new_client = door(), identity()
    lists = crl(root, mount)
    assert lists.count("BEGIN") == 2
    for server in (old_server, new_server):
        for client in (old_client, new_client):
            shake(server, client, both, lists, name)

    assert len(retire_issuer(root, mount)) == 1
    only = bundle(root, mount)
    assert only.count("BEGIN") == 1
    shake(new_server, new_client, only, crl(root, mount), name)
    with pytest.raises(ssl.SSLError, match="verify failed"):
        shake(new_server, old_client, only, name=name)


def test_a_rotation_makes_the_like_of_what_was_under_a_name_of_its_own(root):
    before = issuers(root, "pki-mesh")[0].parsed
    new = rotate_issuer(root, "pki-mesh")
    after = issuers(root, "pki-mesh")[0]
    assert after.id == new
    assert after.default
    life = after.parsed.not_valid_after_utc - after.parsed.not_valid_before_utc
    assert abs(life - (before.not_valid_after_utc - before.not_valid_before_utc)) < timedelta(minutes=1)
    assert isinstance(after.parsed.public_key(), ec.EllipticCurvePublicKey)
    assert after.parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME) != before.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert after.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)


def test_the_authority_that_issues_is_not_retired(root):
    present = issuers(root, "pki-mesh")[0]
    with pytest.raises(ConfigurationRefused, match=r"is the one that issues now. Make another one the default first"):
        retire_issuer(root, "pki-mesh", present.id)


def test_retiring_twice_retires_nothing_more_and_removes_no_key(root):
    rotate_issuer(root, "pki-mesh")
    retire_issuer(root, "pki-mesh")
    before = names(root, "pki-mesh/issuers")
    assert retire_issuer(root, "pki-mesh") == []
    assert names(root, "pki-mesh/issuers") == before
