"""The step's signature."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def validate(telemetry: Input[Dataset], code_digest: str, validated: Output[Dataset], quality: Output[Dataset]) -> None:
    """Telemetry → the same with refused cells nulled, and what was refused by which rule."""
    from datetime import UTC, datetime
    from pathlib import Path

    from components.validate.telemetry import validate

    validate(Path(telemetry.path), Path(validated.path), Path(quality.path), now=datetime.now(UTC))
