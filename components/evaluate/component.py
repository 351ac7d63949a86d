"""The step's signature. `policy` is the model policy's YAML text."""

from typing import List  # noqa: UP035 (KFP reads this spelling)

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def evaluate(
    models: Input[List[Model]],  # noqa: UP006
    labels: Input[Dataset],
    folds: Input[Dataset],
    detectors: Input[Dataset],
    policy: str,
    seed: int,
    code_digest: str,
    evaluation: Output[Artifact],
) -> None:
    """Every model and both baselines on held-out time, with intervals; the winner; its calibration."""
    from pathlib import Path

    from components.evaluate.evaluation import evaluate
    from presage.governance.model_policy import parse_model_policy

    evaluate([Path(model.path) for model in models], Path(labels.path), Path(folds.path), Path(detectors.path), parse_model_policy(policy, "--policy"),
             Path(evaluation.path), seed=int(seed))
