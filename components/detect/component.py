"""The step's signature."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def detect(features: Input[Dataset], folds: Input[Dataset], code_digest: str, detectors: Output[Dataset]) -> None:
    """Unsupervised detectors, fitted on unlabelled rows, and their scores at every tick."""
    from pathlib import Path

    from components.detect.detection import detect

    detect(Path(features.path), Path(folds.path), Path(detectors.path))
