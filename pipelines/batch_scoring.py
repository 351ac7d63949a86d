"""Batch scoring: telemetry, or rows that lie ready, become predictions by the path that answers online. Wires only."""

from typing import NamedTuple

from kfp import dsl, kubernetes
from kfp.dsl import Dataset

from components.featurize.component import featurize
from components.ingest.component import ingest
from components.score.component import score, score_rows
from components.validate.component import validate
from pipelines.incident_training import STATE_CLAIM, STATE_IN_CLUSTER


class Scored(NamedTuple):
    """What a run keeps for people."""

    quarantine: Dataset
    quality: Dataset
    features: Dataset
    predictions: Dataset


class ScoredRows(NamedTuple):
    """The same, where the rows lay ready."""

    predictions: Dataset


@dsl.pipeline(name="batch-scoring", description="Telemetry in, predictions out: every server at every tick, or those that a file names.")
def batch_scoring(  # noqa: PLR0917 - KFP passes them by name
    view: str, state: str, run_id: str, created: str, code_digest: str, release: str, source: str = "simulated", source_digest: str = "",
    on_bad_row: str = "quarantine", rows: str = "", rows_digest: str = "", explain: bool = False,
) -> Scored:
    """view: YAML text. state: the folder that holds releases, journals and runs. release: its URI. rows: Parquet of (entity, time), empty = all.
    code_digest, source_digest, rows_digest: make the cache see code and files."""
    read = ingest(source=source, source_digest=source_digest, on_bad_row=on_bad_row, code_digest=code_digest)
    kubernetes.mount_pvc(read, pvc_name=STATE_CLAIM, mount_path=STATE_IN_CLUSTER)
    checked = validate(telemetry=read.outputs["telemetry"], code_digest=code_digest)
    features = featurize(validated=checked.outputs["validated"], view=view, code_digest=code_digest).outputs["features"]
    scored = score(
        features=features, rows=rows, rows_digest=rows_digest, release=release, explain=explain, state=state, code_digest=code_digest,
    )
    kubernetes.mount_pvc(scored, pvc_name=STATE_CLAIM, mount_path=STATE_IN_CLUSTER)
    scored.set_caching_options(enable_caching=False)  # it writes into the state, which no cache sees; what was scored is not scored again
    return Scored(
        quarantine=read.outputs["quarantine"], quality=checked.outputs["quality"], features=features, predictions=scored.outputs["predictions"],
    )


@dsl.pipeline(name="row-scoring", description="Rows of a model's inputs in, predictions out.")
def row_scoring(  # noqa: PLR0917 - KFP passes them by name
    state: str, run_id: str, created: str, code_digest: str, release: str, rows: str, rows_digest: str = "", explain: bool = False,
) -> ScoredRows:
    """rows: Parquet, a column an input; entity and time may stand beside them. Everything else as above."""
    scored = score_rows(rows=rows, rows_digest=rows_digest, release=release, explain=explain, state=state, code_digest=code_digest)
    kubernetes.mount_pvc(scored, pvc_name=STATE_CLAIM, mount_path=STATE_IN_CLUSTER)
    scored.set_caching_options(enable_caching=False)
    return ScoredRows(predictions=scored.outputs["predictions"])
