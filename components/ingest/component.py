"""The step's signature. `source_digest` is that of the files behind `source`: it makes the orchestrator's cache see them."""

from kfp import dsl
from kfp.dsl import Dataset, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def ingest(source: str, source_digest: str, on_bad_row: str, code_digest: str, telemetry: Output[Dataset], quarantine: Output[Dataset]) -> None:
    """Source → telemetry, quarantine."""
    from pathlib import Path

    from components.ingest.telemetry import ingest

    ingest(source, Path(telemetry.path), Path(quarantine.path), on_bad_row)
