"""One evaluated fleet for every test of the room: two families, for real."""

import pytest
from builders.incidents import policy, prepared

from components.evaluate.evaluation import evaluate
from components.train.training import train

FAMILIES = ("logistic_regression", "lightgbm")


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory):
    steps = prepared(tmp_path_factory.mktemp("evaluate"))
    for family in FAMILIES:
        train(family, steps.features, steps.labels, steps.folds, steps.detectors, policy(600), steps.root / family)
    evaluate([steps.root / family for family in FAMILIES], steps.labels, steps.folds, steps.detectors, policy(), steps.evaluation)
    return steps
