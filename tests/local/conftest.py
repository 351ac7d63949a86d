"""A state directory whose plane is stopped after each test, with nothing of it left."""

import pytest

from presage.local import down
from presage.local.children import marked
from presage.state import State


@pytest.fixture
def state(tmp_path):
    made = State.open(tmp_path / "state")
    yield made
    down(made)
    assert list(marked(made.root)) == []
