"""Signing keys: made once, private, and trusted only where their public half lies."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from presage.errors import ArtifactRefused, StateError
from presage.package.keys import Trust, local_key


def test_the_local_key_is_made_once_and_is_its_owners_alone(tmp_path):
    first = local_key(tmp_path / "keys")
    assert local_key(tmp_path / "keys").id == first.id
    assert (tmp_path / "keys" / "local.key").stat().st_mode & 0o777 == 0o600
    assert Trust.open(tmp_path / "keys").find(first.id).local


def test_many_first_uses_at_once_make_one_key(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        assert len({key.id for key in pool.map(lambda _: local_key(tmp_path), range(16))}) == 1


def test_a_key_that_others_may_read_is_not_used(tmp_path):
    local_key(tmp_path).path.chmod(0o644)
    with pytest.raises(StateError, match="chmod 600"):
        local_key(tmp_path)


def test_a_lost_public_half_comes_back(tmp_path):
    key = local_key(tmp_path)
    (tmp_path / "local.pub").unlink()
    again = local_key(tmp_path)
    assert Trust.open(tmp_path).find(key.id) is not None and again.id == key.id


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())])
def test_other_kinds_of_keys_are_not_trusted(tmp_path, key):
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "other.pub").write_bytes(pem)
    with pytest.raises(ArtifactRefused, match="P-256"):
        Trust.open(tmp_path)


def test_without_a_trusted_key_nothing_is_trusted(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ArtifactRefused) as refused:
            Trust.open(folder)
        assert refused.value.reason == "signature"
