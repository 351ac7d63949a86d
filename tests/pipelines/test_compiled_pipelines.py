"""The committed IR is what the code compiles to, and runs nowhere on a floating image."""

import re
from typing import Any

import pytest
import yaml

from pipelines.catalogue import PIPELINES, find_pipeline
from pipelines.compile import compiled_text
from presage.errors import UsageError


def committed(name: str = "incident-training") -> dict[str, Any]:
    """The pipeline's specification; the second document is the cluster's part of it."""
    specification, _ = yaml.safe_load_all(find_pipeline(name).compiled.read_text())
    return specification


@pytest.mark.parametrize("listed", PIPELINES, ids=lambda listed: listed.name)
def test_the_committed_pipeline_is_current(listed):
    assert listed.compiled.read_bytes() == compiled_text(listed), "run `python -m pipelines compile` and commit what it wrote"


def test_every_step_has_a_pinned_image_and_installs_nothing():
    compiled = committed()
    containers = [executor["container"] for executor in compiled["deploymentSpec"]["executors"].values()]
    assert len(containers) == 10
    assert {container["image"] for container in containers} == {"presage/training:0.1.0"}
    assert not any("pip install" in part for container in containers for part in container["command"])


def test_every_step_sees_the_digest_of_code_and_lock():
    compiled = committed()
    steps = {name: body for name, body in compiled["components"].items() if "executorLabel" in body}
    assert all("code_digest" in body["inputDefinitions"]["parameters"] for body in steps.values())


def test_packaging_is_never_answered_from_the_cache():
    tasks = committed()["root"]["dag"]["tasks"]
    assert not tasks["package"]["cachingOptions"].get("enableCache")
    assert all(task["cachingOptions"].get("enableCache") for name, task in tasks.items() if name in {"ingest", "featurize", "evaluate"})


@pytest.mark.parametrize(("name", "step"), [("batch-scoring", "score"), ("row-scoring", "score-rows")])
def test_scoring_is_never_answered_from_the_cache(name, step):
    compiled = committed(name)
    tasks = compiled["root"]["dag"]["tasks"]
    assert not tasks[step]["cachingOptions"].get("enableCache")
    assert {executor["container"]["image"] for executor in compiled["deploymentSpec"]["executors"].values()} == {"presage/training:0.1.0"}


def test_an_unknown_pipeline_is_wrong_usage():
    with pytest.raises(UsageError, match=re.escape("There is no pipeline 'nope'. There is incident-training, batch-scoring, row-scoring.")):
        find_pipeline("nope")
