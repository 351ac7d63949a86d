"""Names of a cluster's DNS are looked up in a file where there is no cluster."""

import json
import socket

import pytest

from presage import hosts


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "hosts.json"
    path.write_text(json.dumps({"vault.vault.svc": "127.70.1.2"}))
    hosts.install(path)
    yield path
    hosts.uninstall()


def found(name):
    return socket.getaddrinfo(name, 8200, type=socket.SOCK_STREAM)[0][4]


def test_a_name_in_the_file_has_the_address_of_the_file(names):
    assert found("vault.vault.svc") == found("Vault.vault.svc.") == ("127.70.1.2", 8200)


def test_other_names_are_asked_of_the_system(names):
    assert found("127.0.0.1") == ("127.0.0.1", 8200)
    with pytest.raises(socket.gaierror):
        found("nobody.vault.svc.invalid")


def test_a_changed_file_is_read_again_and_a_damaged_one_hides_nothing(names):
    names.write_text(json.dumps({"vault.vault.svc": "127.70.9.9"}))
    assert found("vault.vault.svc")[0] == "127.70.9.9"
    names.write_text("{")
    assert found("127.0.0.1")[0] == "127.0.0.1"


def test_without_the_variable_nothing_changes(monkeypatch):
    monkeypatch.delenv("PRESAGE_HOSTS", raising=False)
    before = socket.getaddrinfo
    hosts.install()
    assert socket.getaddrinfo is before
