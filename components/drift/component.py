"""The step's signature."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def drift(features: Input[Dataset], folds: Input[Dataset], seed: int, code_digest: str, drift: Output[Artifact]) -> None:
    """Training against held-out data → drift.html, drift.json."""
    from pathlib import Path

    from components.drift.page import drift as compare

    compare(Path(features.path), Path(folds.path), Path(drift.path), seed)
