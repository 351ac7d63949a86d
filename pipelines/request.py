"""What a run is asked for, and the pipeline's arguments that follow from it."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from pipelines.digests import code_digest, file_digest, source_digest
from presage.errors import InputError, UsageError
from presage.features.declaration import load_view
from presage.governance.model_policy import Family, load_model_policy
from presage.package.reference import parse_reference
from presage.telemetry.sources import parse_source

MOST_SEED = 2**32 - 1  # what every library's generator takes
MOST_THREADS = 256


@dataclass(frozen=True)
class Request:
    """families: which to train; empty = all. threads: of each training process."""

    pipeline: str
    source: str
    policy: Path
    view: Path
    families: tuple[str, ...] = ()
    seed: int = 7
    threads: int = 1
    on_bad_row: str = "quarantine"


@dataclass(frozen=True)
class ScoringRequest:
    """What batch-scoring (source; rows: which of its rows, None = all) and row-scoring (rows: what is scored) are asked for.
    release: its URI; explain: whether each prediction comes with reasons."""

    pipeline: str
    release: str
    view: Path
    source: str = "simulated"
    rows: Path | None = None
    explain: bool = False
    on_bad_row: str = "quarantine"
    threads: int = 1


def new_run_id() -> str:
    """Time and four random hex digits: sorts by age, does not collide."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def pipeline_arguments(request: "Request | ScoringRequest", here: bool = True) -> dict[str, Any]:
    """Every argument but state, run_id and created. here: files of the source are this machine's.

    Raises UsageError or InputError on what can be told before anything is started.
    """
    if request.on_bad_row not in ("quarantine", "fail"):
        raise UsageError(f"--on-bad-row {request.on_bad_row!r} is no choice. Choose quarantine or fail.")
    return _scoring_arguments(request, here) if isinstance(request, ScoringRequest) else _training_arguments(request, here)


def _scoring_arguments(request: ScoringRequest, here: bool) -> dict[str, Any]:
    parse_reference(request.release, allow_local=True)
    given = {"release": request.release, "explain": request.explain, "code_digest": code_digest()}
    rows = {} if request.rows is None else {"rows": str(request.rows.absolute() if here else request.rows), "rows_digest": _rows_digest(request.rows, here)}
    if request.pipeline == "row-scoring":
        if not rows:
            raise UsageError("row-scoring needs --rows FILE: a Parquet file with a column an input of the model.")
        return given | rows
    parse_source(request.source)
    load_view(request.view)
    source = {"source": request.source, "source_digest": _digest(request.source, here), "on_bad_row": request.on_bad_row}
    return given | rows | source | {"view": request.view.read_text()}


def _training_arguments(request: Request, here: bool) -> dict[str, Any]:
    known = get_args(Family)
    for family in request.families:
        if family not in known:
            raise UsageError(f"--families names {family!r}. Choose among {', '.join(known)}.")
    if not 0 <= request.seed <= MOST_SEED:
        raise UsageError(f"--seed {request.seed} is no seed. Give a whole number from 0 to {MOST_SEED}.")
    if not 1 <= request.threads <= MOST_THREADS:
        raise UsageError(f"--threads {request.threads} is no number of threads. Give 1 to {MOST_THREADS}.")
    parse_source(request.source)
    load_model_policy(request.policy)
    load_view(request.view)
    return {
        "source": request.source, "source_digest": _digest(request.source, here),
        "policy": request.policy.read_text(), "view": request.view.read_text(), **({"families": list(request.families)} if request.families else {}),
        "seed": request.seed, "threads": request.threads, "on_bad_row": request.on_bad_row, "code_digest": code_digest(),
    }


def _digest(source: str, here: bool) -> str:
    try:
        return source_digest(source)
    except InputError:
        if here:
            raise
        return new_run_id()  # a file that only the cluster sees may have changed: never answered from the cache


def _rows_digest(path: Path, here: bool) -> str:
    try:
        return file_digest(path)
    except InputError:
        if here:
            raise
        return new_run_id()
