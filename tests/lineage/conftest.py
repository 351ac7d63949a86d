"""One world for all that is asked about a prediction: see builders.traced. Read it; to change it take a copy of what is changed."""

import pytest
from builders.traced import Traced, traced


@pytest.fixture(scope="session")
def world(trained_state, tmp_path_factory) -> Traced:
    return traced(tmp_path_factory.mktemp("traced"), trained_state)


@pytest.fixture(scope="session")
def found(world):
    """What is known of one answer about a server that was looked up: the riskiest."""
    answer = max(world.answers[:-1], key=lambda one: one["risk"])
    return world.trace(answer["prediction_id"])
