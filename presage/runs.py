"""Running a pipeline: here, in processes of its own, or on a Kubeflow endpoint.

    import presage
    run = presage.run("incident-training", source="simulated:servers=12,days=7")
    run.average_precision, run.model.uri

Progress goes to stderr, a line a step. Errors: UsageError (a spec or option), RunFailed (a step's own sentence).
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from presage.errors import PresageError, RunFailed, UsageError
from presage.state import State

OUR_FAULT = 70  # the exit code of a fault of presage itself
GRACE = 15.0  # seconds for an interrupted run to end its processes


class Family(msgspec.Struct, frozen=True):
    """A trained family: average precision on the test rows with its 95 % interval, seconds of training."""

    name: str
    average_precision: float
    average_precision_interval: tuple[float, float]
    seconds: float


class Model(msgspec.Struct, frozen=True):
    """The release that was made."""

    name: str
    version: str
    digest: str
    uri: str


class Run(msgspec.Struct, frozen=True):
    """What a run came to: the document of `presage run -o json` (docs/schemas/run.json). Measures are the winner's."""

    run_id: str
    pipeline: str
    seconds: float
    peak_memory_mib: float
    winner: str
    families: list[Family]
    model: Model
    prevalence: float
    average_precision: float
    average_precision_interval: tuple[float, float]
    unsupervised_average_precision: float
    gain_interval: tuple[float, float]
    persistence_average_precision: float
    roc_auc: float | None
    brier: float | None
    events_detected: dict[str, float | None]
    events_detected_early: dict[str, float | None]
    median_lead_minutes: float | None
    report: str | None
    status: Literal["succeeded"] = "succeeded"


class Scoring(msgspec.Struct, frozen=True):
    """What batch scoring came to. release: its URI; rows: how many were asked for, refused: how many got no answer; tiers, rungs: how many
    predictions each; predictions: the folder of Parquet files."""

    run_id: str
    pipeline: str
    seconds: float
    peak_memory_mib: float
    release: str
    job: str
    rows: int
    refused: int
    tiers: dict[str, int]
    rungs: dict[str, int]
    predictions: str
    status: Literal["succeeded"] = "succeeded"


class Submitted(msgspec.Struct, frozen=True):
    """A run that an endpoint took: run_id is the endpoint's, url its page there."""

    run_id: str
    pipeline: str
    endpoint: str
    url: str
    status: Literal["submitted"] = "submitted"


def run(
    pipeline: str = "incident-training",
    *,
    source: str = "simulated",
    state: State | str | os.PathLike[str] | None = None,
    policy: Path | None = None,
    view: Path | None = None,
    families: tuple[str, ...] | list[str] = (),
    seed: int = 7,
    threads: int = 1,
    on_bad_row: str = "quarantine",
    quiet: bool = False,
) -> Run:
    """Run a pipeline here, to its end. policy, view: other files than the committed ones. families: which to train, default all."""
    root = state.root if isinstance(state, State) else State.open(state).root
    options = {"source": source, "policy": policy, "view": view, "families": families, "on_bad_row": on_bad_row, "seed": seed, "threads": threads}
    return msgspec.convert(_start(_arguments(pipeline, {**options, "state": root}), quiet), Run)


def score(
    pipeline: str = "batch-scoring",
    *,
    release: str = "presage://incident:local",
    source: str | None = None,
    rows: Path | None = None,
    view: Path | None = None,
    explain: bool = False,
    on_bad_row: str = "quarantine",
    state: State | str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> Scoring:
    """Score a batch here: batch-scoring takes telemetry (rows: Parquet of the entity and time wanted, None = all), row-scoring a Parquet file
    with a column an input of the model. A killed one goes on where it was when asked again."""
    root = state.root if isinstance(state, State) else State.open(state).root
    options = {"release": release, "source": source, "rows": rows, "view": view, "on_bad_row": on_bad_row, "explain": "yes" if explain else None}
    return msgspec.convert(_start(_arguments(pipeline, {**options, "state": root}), quiet), Scoring)


def submit(
    pipeline: str,
    endpoint: str,
    *,
    source: str = "simulated",
    policy: Path | None = None,
    view: Path | None = None,
    families: tuple[str, ...] | list[str] = (),
    seed: int = 7,
    threads: int = 1,
    on_bad_row: str = "quarantine",
    release: str | None = None,
    rows: Path | None = None,
    explain: bool = False,
) -> Submitted:
    """Hand the same run to a Kubeflow Pipelines endpoint; returns as soon as it took it. release, rows, explain: of batch scoring."""
    options = {"source": source, "policy": policy, "view": view, "families": families, "on_bad_row": on_bad_row, "seed": seed, "threads": threads,
               "release": release, "rows": rows, "explain": "yes" if explain else None}  # fmt: skip
    return msgspec.convert(_start(_arguments(pipeline, {**options, "endpoint": endpoint}), quiet=False), Submitted)


def _arguments(pipeline: str, options: dict[str, Any]) -> list[str]:
    """The command line of `python -m pipelines`; options that are None or name nothing stay at its defaults."""
    given = {name: ",".join(value) if isinstance(value, list | tuple) else str(value) for name, value in options.items() if value not in (None, (), [])}
    # One word each, so that a value with a dash in front is no option.
    return [pipeline, *(f"--{name.replace('_', '-')}={value}" for name, value in given.items()), "--output=json"]


def _start(arguments: list[str], quiet: bool) -> dict[str, Any]:
    """Start `python -m pipelines` and wait; its document. It ends itself when this process is gone."""
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "--starter", str(write), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None, pass_fds=(write,),
        )  # fmt: skip
    finally:
        os.close(write)
    try:
        with os.fdopen(read, "rb") as words:
            printed, _ = process.communicate()
            sentence = words.read().decode().strip()
    except BaseException:
        _interrupt(process)
        raise
    if process.returncode == 0:
        document: dict[str, Any] = msgspec.json.decode(printed.splitlines()[-1])
        return document
    raise _failure(process.returncode, sentence)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _failure(code: int, sentence: str) -> BaseException:
    if code == 128 + signal.SIGINT:
        return KeyboardInterrupt()
    kind: type[PresageError] = UsageError if code == UsageError.exit_code else RunFailed
    failure = kind(sentence or f"The pipeline's process ended with code {code} and no word. Run the command again; finished steps are kept.")
    if code == OUR_FAULT:
        failure.exit_code = code
    return failure
