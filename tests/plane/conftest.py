"""One whole plane for all tests of this folder: they ask it, and leave it as they found it. It goes, and its names with it, before others run."""

import pytest
from builders.mesh_plane import RunningPlane


@pytest.fixture(scope="package")
def plane(trained_state, tmp_path_factory):
    with RunningPlane.start(trained_state.root, tmp_path_factory.mktemp("plane")) as running:
        yield running
