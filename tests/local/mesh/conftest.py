"""A mesh for each module of tests, or for a single test."""

import pytest
from mesh_site import Site


@pytest.fixture
def site(tmp_path):
    """A mesh of the test's own."""
    with Site(tmp_path) as made:
        yield made
