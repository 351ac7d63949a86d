"""One OpenBao for the tests that only ask it: configured from manifests/vault, with a secret at every path that a role names."""

import pytest
from builders.openbao import OpenBao
from builders.vault_contents import fill


@pytest.fixture(scope="session")
def openbao(tmp_path_factory):
    with OpenBao.started(tmp_path_factory.mktemp("openbao")) as server:
        server.configure()
        fill(server)
        yield server


@pytest.fixture
def own_server(tmp_path):
    """For a test that seals, stops, loosens or loses it."""
    with OpenBao.started(tmp_path, raft=False) as server:
        yield server
