"""A program's way to Vault, from its environment."""

from pathlib import Path

import pytest

from presage.secrets.errors import ConfigurationRefused
from presage.secrets.vault import VaultSettings, open_client

POD = {
    "PRESAGE_VAULT_ADDRESS": "https://vault.vault.svc:8200", "PRESAGE_VAULT_CA": "/etc/presage/ca/ca.crt", "PRESAGE_VAULT_AUTH_MOUNT": "jwt",
    "PRESAGE_VAULT_ROLE": "models-network.incident", "PRESAGE_VAULT_TOKEN_FILE": "/var/run/secrets/presage/token",
}  # fmt: skip


def test_a_pods_environment_is_read_whole():
    settings = VaultSettings.from_environment(POD)
    assert settings == VaultSettings(
        "https://vault.vault.svc:8200", "models-network.incident", Path("/var/run/secrets/presage/token"), Path("/etc/presage/ca/ca.crt"), "jwt"
    )


@pytest.mark.parametrize("name", ["PRESAGE_VAULT_ADDRESS", "PRESAGE_VAULT_ROLE", "PRESAGE_VAULT_TOKEN_FILE"])
def test_a_variable_that_is_missing_is_named(name):
    with pytest.raises(ConfigurationRefused, match=f"{name} is not set"):
        VaultSettings.from_environment({**POD, name: " "})


@pytest.mark.parametrize("address", ["http://vault.vault.svc:8200", "vault.vault.svc", "https://"])
def test_an_address_without_tls_is_refused(address):
    with pytest.raises(ConfigurationRefused, match="PRESAGE_VAULT_ADDRESS is"):
        VaultSettings.from_environment({**POD, "PRESAGE_VAULT_ADDRESS": address})


def test_an_operators_token_in_the_environment_is_not_taken(monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "an operator's")
    assert open_client("https://vault.vault.svc:8200", None).token == ""
