"""An object store and an OpenBao, both real, started side by side and kept for all tests of this room."""

import pytest
from builders.object_store import ObjectStore
from builders.openbao import OpenBao


@pytest.fixture(scope="session")
def object_store_process(tmp_path_factory):
    """On its way: what starts meanwhile costs no time."""
    with ObjectStore.launched(tmp_path_factory.mktemp("object-store")) as server:
        yield server


@pytest.fixture(scope="session")
def openbao(object_store_process, tmp_path_factory):
    with OpenBao.started(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture(scope="session")
def object_store(object_store_process):
    object_store_process.wait()
    return object_store_process
