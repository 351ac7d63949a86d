"""A real OpenBao as a process: its keys, its seal, its restart, and what is said when it cannot be asked."""

import socket
import ssl
import stat

import pytest
from builders.openbao import OpenBao
from builders.vault_contents import SECRETS, fill

from presage.local.authority import Authority
from presage.secrets import openbao as process
from presage.secrets.answers import read
from presage.secrets.errors import ConfigurationRefused, VaultOut, VaultSealed
from presage.secrets.vault import connect, open_client


def test_keys_are_for_their_owner_alone(openbao):
    assert stat.S_IMODE(openbao.keys_file.stat().st_mode) == 0o600


def test_a_second_initialise_gives_the_same_keys(openbao):
    assert process.initialise(openbao.client(), openbao.keys_file) == process.read_keys(openbao.keys_file)


def test_a_keys_file_that_is_gone_or_damaged_is_named_with_its_remedy(openbao, tmp_path):
    with pytest.raises(VaultSealed, match=r"keys.json: the unseal key of OpenBao at https://127.* is not here. Put the file back"):
        process.unseal(openbao.client(), tmp_path / "keys.json")
    (tmp_path / "keys.json").write_text("{}")
    with pytest.raises(VaultSealed, match="holds no unseal key"):
        process.initialise(openbao.client(), tmp_path / "keys.json")


@pytest.fixture
def own_server(tmp_path):
    """For a test that stops it or loses its data: with raft, as the plane's."""
    with OpenBao.started(tmp_path) as server:
        yield server


def test_a_restart_comes_back_sealed_and_unsealed_has_everything(own_server, tmp_path):
    own_server.configure()
    fill(own_server)
    settings = own_server.settings("models-network", "incident", tmp_path / "token")
    own_server.stop()
    with pytest.raises(VaultOut, match=r"nobody answers at https://127.*Connection refused.* Start Vault"):
        connect(settings)
    own_server.start(unseal=False)
    assert not process.is_ready(own_server.client())
    with pytest.raises(VaultSealed, match=r"log in at auth/jwt as role 'models-network.incident': Vault at https://127.* is sealed.* Unseal it"):
        connect(settings)
    own_server.unseal()
    path = "presage/models-network/release-storage"
    assert read(connect(settings), f"kv/data/{path}")["data"] == SECRETS[path]


def test_a_server_that_nobody_initialised_is_said(own_server):
    """Its data gone and its keys kept is what a lost volume looks like."""
    own_server.stop()
    for path in (own_server.folder / "raft").rglob("*"):
        if path.is_file():
            path.unlink()
    own_server.start(unseal=False)
    with pytest.raises(VaultSealed, match="not initialised"):
        process.unseal(own_server.client(), own_server.keys_file)


def test_a_server_of_a_foreign_authority_is_not_trusted(openbao, tmp_path):
    foreign = tmp_path / "ca.crt"
    foreign.write_bytes(Authority.open(tmp_path / "foreign").certificate)
    client = open_client(openbao.address, foreign)
    assert not process.is_ready(client)
    with pytest.raises(VaultOut, match=r"certificate of https://127.* is not trusted .*Name the authority that issued it"):
        process.initialise(client, openbao.keys_file)


def test_the_authority_of_the_environment_does_not_count(openbao, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(openbao.ca))
    assert not process.is_ready(open_client(openbao.address, None))


def test_plain_http_and_a_missing_authority_are_refused_before_anything_is_sent(openbao, tmp_path):
    with pytest.raises(ConfigurationRefused, match="over TLS only"):
        open_client(openbao.address.replace("https", "http"), openbao.ca)
    with pytest.raises(ConfigurationRefused, match=r"nowhere.crt: there is no certificate authority's file here"):
        open_client(openbao.address, tmp_path / "nowhere.crt")


def test_only_the_newest_tls_is_spoken(openbao):
    context = ssl.create_default_context(cafile=str(openbao.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", openbao.port)) as plain, pytest.raises(ssl.SSLError, match="version"):
        context.wrap_socket(plain, server_hostname="127.0.0.1")
