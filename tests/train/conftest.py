"""One prepared fleet for every test of the room."""

import pytest
from builders.incidents import prepared


@pytest.fixture(scope="session")
def steps(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("train"))
