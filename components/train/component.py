"""The step's signature. `policy` is the model policy's YAML text."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def train(
    family: str, features: Input[Dataset], labels: Input[Dataset], folds: Input[Dataset], detectors: Input[Dataset], policy: str, seed: int, threads: int,
    code_digest: str, model: Output[Model],
) -> None:  # fmt: skip
    """One model family: its ONNX graph, its scores on every part but train, and what was done."""
    from pathlib import Path

    from components.train.training import train
    from presage.governance.model_policy import parse_model_policy

    train(family, Path(features.path), Path(labels.path), Path(folds.path), Path(detectors.path), parse_model_policy(policy, "--policy"), Path(model.path),
          seed=int(seed), threads=int(threads))
