"""The step's signature. `policy` is the model policy's YAML text."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def label(validated: Input[Dataset], features: Input[Dataset], policy: str, code_digest: str, labels: Output[Dataset]) -> None:
    """Incidents and the KPI's horizon → a label a tick, with the incident and cluster that make it positive."""
    from pathlib import Path

    from components.label.labels import label
    from presage.governance.model_policy import parse_model_policy

    label(Path(validated.path), Path(features.path), parse_model_policy(policy, "--policy"), Path(labels.path))
