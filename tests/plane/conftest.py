"""One whole plane for all tests of this folder: they ask it, and leave it as they found it."""

import pytest
from builders.mesh_plane import RunningPlane

OF_THEIR_OWN = ("tests/plane/test_plane_gpu_family.py", "tests/plane/test_plane_follow.py")


def pytest_collection_modifyitems(items):
    """A plane of its own comes and goes before the shared one is started: two at once need more inotify instances than a user has."""
    items.sort(key=lambda item: not item.nodeid.startswith(OF_THEIR_OWN))


@pytest.fixture(scope="session")
def plane(trained_state, tmp_path_factory):
    with RunningPlane.start(trained_state.root, tmp_path_factory.mktemp("plane")) as running:
        yield running
