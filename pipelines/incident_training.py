"""Incident training: from a source of telemetry to a signed release. Wires only; each step's work is in its component."""

from typing import List, NamedTuple  # noqa: UP035 - the spelling that KFP reads

from kfp import dsl
from kfp.dsl import Artifact, Dataset

from components.drift.component import drift
from components.featurize.component import featurize
from components.ingest.component import ingest
from components.label.component import label
from components.split.component import split
from components.validate.component import validate

FAMILIES = ["logistic_regression", "random_forest", "lightgbm", "temporal_convolution"]


class Kept(NamedTuple):
    """What a run keeps for people: the report reads it, `result.json` names where it lies."""

    quarantine: Dataset
    validated: Dataset
    quality: Dataset
    features: Dataset
    labels: Dataset
    folds: Dataset
    drift: Artifact


@dsl.pipeline(name="incident-training", description="Telemetry in, incident prediction out: two signed models and their release.")
def incident_training(  # noqa: PLR0917 - KFP passes them by name
    policy: str, view: str, state: str, run_id: str, code_digest: str,
    source: str = "simulated", source_digest: str = "", on_bad_row: str = "quarantine", families: List[str] = FAMILIES, seed: int = 7, threads: int = 1,  # noqa: UP006
) -> Kept:
    """policy, view: YAML texts. state: the folder that holds releases and runs. code_digest, source_digest: make the cache see code and files."""
    read = ingest(source=source, source_digest=source_digest, on_bad_row=on_bad_row, code_digest=code_digest)
    checked = validate(telemetry=read.outputs["telemetry"], code_digest=code_digest)
    windows = featurize(validated=checked.outputs["validated"], view=view, code_digest=code_digest)
    labelled = label(validated=checked.outputs["validated"], features=windows.outputs["features"], policy=policy, code_digest=code_digest)
    parts = split(labels=labelled.outputs["labels"], features=windows.outputs["features"], code_digest=code_digest)
    moved = drift(features=windows.outputs["features"], folds=parts.outputs["folds"], seed=seed, code_digest=code_digest)
    return Kept(
        quarantine=read.outputs["quarantine"], validated=checked.outputs["validated"], quality=checked.outputs["quality"],
        features=windows.outputs["features"], labels=labelled.outputs["labels"], folds=parts.outputs["folds"], drift=moved.outputs["drift"],
    )
