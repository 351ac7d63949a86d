"""One whole plane for all tests of this folder: they ask it, and leave it as they found it."""

import pytest
from builders.mesh_plane import RunningPlane


@pytest.fixture(scope="session")
def plane(trained_state, tmp_path_factory):
    with RunningPlane.start(trained_state.root, tmp_path_factory.mktemp("plane")) as running:
        yield running
