"""The step's signature. `state` is the folder that keeps releases, keys, journals and what a killed run had done already."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.image import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def score(
    features: Input[Dataset], rows: str, rows_digest: str, release: str, explain: bool, state: str, code_digest: str, predictions: Output[Dataset],
) -> None:  # fmt: skip
    """Predictions of feature rows: of every (entity, time) of `features`, or of those that the Parquet file `rows` names."""
    from pathlib import Path

    from components.score.looked_up import LookedUp
    from components.score.scoring import score
    from presage.state import State

    keys = Path(rows) if rows else None
    score(lambda contract: LookedUp(Path(features.path), contract, keys), release, State.open(state), Path(predictions.path), explain=explain)


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def score_rows(rows: str, rows_digest: str, release: str, explain: bool, state: str, code_digest: str, predictions: Output[Dataset]) -> None:
    """Predictions of rows that lie in the Parquet file `rows`, a column an input of the model."""
    from pathlib import Path

    from components.score.given import Given
    from components.score.scoring import score
    from presage.state import State

    score(lambda contract: Given(Path(rows), contract), release, State.open(state), Path(predictions.path), explain=explain)
