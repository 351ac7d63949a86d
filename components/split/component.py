"""The step's signature."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def split(labels: Input[Dataset], features: Input[Dataset], code_digest: str, folds: Output[Dataset]) -> None:
    """Time-ordered parts, purged and embargoed; fails the run on leakage."""
    from pathlib import Path

    from components.split.folds import split

    split(Path(labels.path), Path(features.path), Path(folds.path))
