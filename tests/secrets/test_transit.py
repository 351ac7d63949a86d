"""Data keys: who may wrap, who may unwrap, what a rotation does."""

import pytest

from presage.secrets.answers import names, write
from presage.secrets.errors import AccessRefused, ConfigurationRefused, VaultSealed
from presage.secrets.transit import Transit
from presage.secrets.vault import connect


@pytest.fixture
def publisher(openbao, tmp_path):
    return Transit(connect(openbao.settings("pipelines", "publisher", tmp_path / "publisher")), "releases")


@pytest.fixture
def predictor(openbao, tmp_path):
    return Transit(connect(openbao.settings("models-network", "incident", tmp_path / "predictor")), "releases")


def test_what_a_publisher_wraps_a_predictor_unwraps(publisher, predictor):
    plaintext, wrapped = publisher.data_key()
    assert len(plaintext) == 32
    assert wrapped.startswith("vault:v")
    assert predictor.unwrap(wrapped) == plaintext


def test_no_two_data_keys_are_alike(publisher):
    assert len({publisher.data_key()[0] for _ in range(20)}) == 20


def test_a_publisher_unwraps_nothing_and_a_predictor_wraps_nothing(publisher, predictor):
    _, wrapped = publisher.data_key()
    with pytest.raises(AccessRefused, match=r"transit/decrypt/releases: permission denied. Give the account this path in policies/access.yaml"):
        publisher.unwrap(wrapped)
    with pytest.raises(AccessRefused, match="transit/datakey/plaintext/releases"):
        predictor.data_key()
    with pytest.raises(AccessRefused, match="transit/rewrap/releases"):
        predictor.rewrap(wrapped)


def test_after_a_rotation_old_keys_open_and_are_wrapped_anew_without_being_seen(openbao, publisher, predictor):
    plaintext, old = publisher.data_key()
    write(openbao.root(), "transit/keys/releases/rotate", {})
    new = publisher.rewrap(old)
    assert new.split(":")[1] != old.split(":")[1]
    assert predictor.unwrap(old) == predictor.unwrap(new) == plaintext


def test_a_wrapped_key_older_than_the_key_still_opens_is_said(own_server):
    own_server.configure()
    root = own_server.root()
    keys = Transit(root, "releases")
    _, old = keys.data_key()
    write(root, "transit/keys/releases/rotate", {})
    write(root, "transit/keys/releases/config", {"min_decryption_version": 2})
    with pytest.raises(ConfigurationRefused, match="version is disallowed by policy"):
        keys.unwrap(old)
    own_server.seal()
    with pytest.raises(VaultSealed, match=r"write transit/datakey/plaintext/releases: Vault at https://.* is sealed"):
        keys.data_key()


@pytest.mark.parametrize("wrapped", ["vault:v1:AAAA", "vault:v9:AAAA", "nonsense", ""])
def test_what_is_no_wrapped_key_of_ours_is_refused(predictor, wrapped):
    with pytest.raises(ConfigurationRefused, match="cannot write transit/decrypt/releases"):
        predictor.unwrap(wrapped)


def test_a_misspelled_key_is_refused_and_not_made(openbao, publisher, tmp_path):
    misspelled = Transit(connect(openbao.settings("pipelines", "publisher", tmp_path / "again")), "releaes")
    with pytest.raises(AccessRefused):
        misspelled.data_key()
    assert names(openbao.root(), "transit/keys") == ["releases"]


def test_a_token_of_vaults_that_is_over_is_told_from_a_missing_right(openbao, tmp_path):
    client = connect(openbao.settings("models-network", "incident", tmp_path / "token"))
    client.auth.token.revoke_self()
    with pytest.raises(AccessRefused, match=r"the Vault token is unknown, revoked or over. Log in again"):
        Transit(client, "releases").unwrap("vault:v1:AAAA")
