"""Incident training: from a source of telemetry to a signed release. Wires only; each step's work is in its component."""

from typing import List, NamedTuple  # noqa: UP035 - the spelling that KFP reads

from kfp import dsl, kubernetes
from kfp.dsl import Artifact, Dataset, Model

from components.detect.component import detect
from components.drift.component import drift
from components.evaluate.component import evaluate
from components.featurize.component import featurize
from components.ingest.component import ingest
from components.label.component import label
from components.package.component import package
from components.split.component import split
from components.train.component import train
from components.validate.component import validate

FAMILIES = ["temporal_convolution", "lightgbm", "random_forest", "logistic_regression"]
"""The longest first: two train at a time, and the short ones fill the end."""
TRAINED_AT_ONCE = 2
STATE_IN_CLUSTER = "/var/lib/presage"
STATE_CLAIM = "presage-state"
"""In a cluster releases outlive the Pod that makes them, and file sources are seen by the Pod that reads them."""


class Kept(NamedTuple):
    """What a run keeps for people: the report reads it, `result.json` names where it lies."""

    quarantine: Dataset
    validated: Dataset
    quality: Dataset
    features: Dataset
    labels: Dataset
    folds: Dataset
    detectors: Dataset
    models: List[Model]  # noqa: UP006
    evaluation: Artifact
    drift: Artifact
    packaged: Artifact


@dsl.pipeline(name="incident-training", description="Telemetry in, incident prediction out: two signed models and their release.")
def incident_training(  # noqa: PLR0917 - KFP passes them by name
    policy: str, view: str, state: str, run_id: str, created: str, code_digest: str,
    source: str = "simulated", source_digest: str = "", on_bad_row: str = "quarantine", families: List[str] = FAMILIES, seed: int = 7, threads: int = 1,  # noqa: UP006
) -> Kept:
    """policy, view: YAML texts. state: the folder that holds releases and runs. created: the run's time, RFC 3339.
    code_digest, source_digest: make the cache see code and files."""
    read = ingest(source=source, source_digest=source_digest, on_bad_row=on_bad_row, code_digest=code_digest)
    kubernetes.mount_pvc(read, pvc_name=STATE_CLAIM, mount_path=STATE_IN_CLUSTER)
    checked = validate(telemetry=read.outputs["telemetry"], code_digest=code_digest)
    validated = checked.outputs["validated"]
    features = featurize(validated=validated, view=view, code_digest=code_digest).outputs["features"]
    labels = label(validated=validated, features=features, policy=policy, code_digest=code_digest).outputs["labels"]
    folds = split(labels=labels, features=features, code_digest=code_digest).outputs["folds"]
    detectors = detect(features=features, folds=folds, code_digest=code_digest).outputs["detectors"]
    with dsl.ParallelFor(families, parallelism=TRAINED_AT_ONCE) as family:
        trained = train(
            family=family, features=features, labels=labels, folds=folds, detectors=detectors, policy=policy, seed=seed, threads=threads,
            code_digest=code_digest,
        )
    judged = evaluate(
        models=dsl.Collected(trained.outputs["model"]), labels=labels, folds=folds, detectors=detectors, policy=policy, seed=seed, code_digest=code_digest,
    )
    moved = drift(features=features, folds=folds, seed=seed, code_digest=code_digest)
    released = package(
        models=dsl.Collected(trained.outputs["model"]), validated=validated, features=features, labels=labels, folds=folds, detectors=detectors,
        evaluation=judged.outputs["evaluation"], policy=policy, state=state, run_id=run_id, created=created, seed=seed, code_digest=code_digest,
    ).after(moved)  # last: what is in the store has everything else behind it
    kubernetes.mount_pvc(released, pvc_name=STATE_CLAIM, mount_path=STATE_IN_CLUSTER)
    released.set_caching_options(enable_caching=False)  # it writes into the state, which no cache sees
    return Kept(
        quarantine=read.outputs["quarantine"], validated=validated, quality=checked.outputs["quality"], features=features, labels=labels, folds=folds,
        detectors=detectors, models=dsl.Collected(trained.outputs["model"]), evaluation=judged.outputs["evaluation"], drift=moved.outputs["drift"],
        packaged=released.outputs["packaged"],
    )
