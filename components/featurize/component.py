"""The step's signature. `view` is the declaration's YAML text, so that it travels to a cluster with the run."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def featurize(validated: Input[Dataset], view: str, code_digest: str, features: Output[Dataset]) -> None:
    """Telemetry → feature rows at tick times."""
    from pathlib import Path

    from components.featurize.features import featurize
    from presage.features.declaration import parse_view

    featurize(Path(validated.path), parse_view(view, "--view"), Path(features.path))
