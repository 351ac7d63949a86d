"""Whose tokens the jwt method believes: keys from a file, or a key set that Vault fetches itself."""

import json

import pytest
from builders.key_server import key_server
from builders.openbao import DOMAIN, MANIFESTS
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from presage.local.tokens import CLUSTER_ISSUER, TokenIssuer
from presage.secrets.changes import apply, compare
from presage.secrets.configuration import read_configuration
from presage.secrets.errors import ConfigurationRefused, LoginRefused
from presage.secrets.trust import JwtTrust
from presage.secrets.vault import connect


@pytest.fixture
def issuer(tmp_path):
    return TokenIssuer.open(tmp_path / "issuer.key")


def trusting(server, trust):
    apply(compare(server.root(), read_configuration(MANIFESTS), domain=DOMAIN, trust=trust))


def test_a_key_set_and_pem_give_the_same_key(issuer, tmp_path):
    (tmp_path / "keys.json").write_bytes(issuer.jwks)
    (tmp_path / "keys.pem").write_text(issuer.public_pem + issuer.public_pem)
    assert JwtTrust.from_keys(tmp_path / "keys.json").public_keys == (issuer.public_pem.strip(),)
    assert JwtTrust.from_keys(tmp_path / "keys.pem").public_keys == (issuer.public_pem.strip(),) * 2


def test_the_rsa_keys_of_a_cluster_are_read(tmp_path):
    """Fields as RFC 7518 6.3.1 writes them, of a key made here."""
    import base64

    numbers = rsa.generate_private_key(65537, 2048).public_key().public_numbers()
    n, e = (base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).rstrip(b"=").decode() for number in (numbers.n, numbers.e))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{"use": "sig", "kty": "RSA", "kid": "x", "alg": "RS256", "n": n, "e": e}]}))
    (pem,) = JwtTrust.from_keys(tmp_path / "keys.json").public_keys
    read = load_pem_public_key(pem.encode())
    assert isinstance(read, rsa.RSAPublicKey)
    assert read.public_numbers() == numbers


NO_KEYS = ["", "{}", "[1]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AAAA"}]}', '{"keys": [{"kty": "EC", "crv": "P-1", "x": "A", "y": "A"}]}']


@pytest.mark.parametrize("text", NO_KEYS)
def test_what_holds_no_public_key_is_refused(tmp_path, text):
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigurationRefused, match=r"holds no public key|neither PEM nor a JSON Web Key Set"):
        JwtTrust.from_keys(tmp_path / "keys")


def test_a_file_that_is_not_there_or_holds_a_damaged_key_is_said(tmp_path):
    with pytest.raises(ConfigurationRefused, match="the keys cannot be read"):
        JwtTrust.from_keys(tmp_path / "nowhere")
    (tmp_path / "keys").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(ConfigurationRefused, match="cannot be read"):
        JwtTrust.from_keys(tmp_path / "keys")


def test_exactly_one_source_over_tls():
    with pytest.raises(ConfigurationRefused, match="give either keys, or the URL"):
        JwtTrust()
    with pytest.raises(ConfigurationRefused, match="give either keys, or the URL"):
        JwtTrust(public_keys=("x",), jwks_url="https://x")
    with pytest.raises(ConfigurationRefused, match="over TLS only"):
        JwtTrust(jwks_url="http://api.example/jwks")


def test_vault_fetches_a_key_set_from_a_server_whose_authority_it_was_given(own_server, tmp_path):
    with key_server(tmp_path / "api", own_server.issuer.jwks) as (url, ca):
        trust = JwtTrust(jwks_url=url, ca_pem=ca.read_text())
        trusting(own_server, trust)
        connect(own_server.settings("models-network", "incident", tmp_path / "token"))
        assert {change.action for change in compare(own_server.root(), read_configuration(MANIFESTS), domain=DOMAIN, trust=trust)} == {"unchanged"}


def test_a_key_set_that_cannot_be_fetched_is_said_and_believed_by_nobody(own_server, tmp_path):
    with key_server(tmp_path / "api", own_server.issuer.jwks) as (url, _), pytest.raises(ConfigurationRefused, match="error checking jwks URL"):
        trusting(own_server, JwtTrust(jwks_url=url))  # its authority was not given


def test_only_the_issuer_that_was_named_counts(own_server, tmp_path):
    keys = (own_server.issuer.public_pem,)
    trusting(own_server, JwtTrust(public_keys=keys, issuer=CLUSTER_ISSUER))
    settings = own_server.settings("models-network", "incident", tmp_path / "token")
    connect(settings)
    trusting(own_server, JwtTrust(public_keys=keys, issuer="https://another.example"))
    with pytest.raises(LoginRefused, match="issuer"):
        connect(settings)
