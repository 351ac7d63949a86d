"""What a run left behind, read into typed objects: the report's only door to files.

A run folder holds `result.json` (the document that `presage run -o json` prints, plus `artifacts`: name → path of each
step's folder, absolute or relative to the run folder) and, where the run kept it, `policy.yaml`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import polars as pl

from presage.errors import InputError
from presage.governance.model_policy import ModelPolicy, load_model_policy


class ServerMeasures(msgspec.Struct, frozen=True):
    """One server in the test rows. average_precision is None where it saw no incident."""

    server: str
    rows: int
    prevalence: float
    events: int
    detected: int
    average_precision: float | None = None


class Measures(msgspec.Struct, frozen=True):
    """A family or a baseline on the test rows. Shares of events, and the false alarms really made, are keyed by the false alarms
    a server-day that were allowed on earlier rows: `1`, `0.2`."""

    name: str
    average_precision: float
    average_precision_interval: tuple[float, float] | None = None
    kind: str = ""
    roc_auc: float | None = None
    brier: float | None = None
    seconds: float | None = None
    budget_seconds: float | None = None
    budget_bound: bool = False
    events_detected: dict[str, float | None] = {}
    events_detected_early: dict[str, float | None] = {}
    false_alarms_per_server_day: dict[str, float | None] = {}
    median_lead_minutes: float | None = None
    select_average_precision: float | None = None
    per_server: list[ServerMeasures] = []


class Paired(msgspec.Struct, frozen=True):
    """Average precision of `family` minus that of `against`, bootstrapped over the same incident clusters."""

    family: str
    against: str
    difference: float
    interval: tuple[float, float]


class Strict(msgspec.Struct, frozen=True):
    """Measured on rows outside incidents only: can it see what has not begun?"""

    average_precision: float | None = None
    prevalence: float | None = None


class Evaluation(msgspec.Struct, frozen=True):
    winner: str
    horizon_minutes: float
    prevalence: float
    rows: dict[str, int]
    clusters: int
    families: list[Measures]
    baselines: list[Measures]
    gain: float | None = None
    gain_interval: tuple[float, float] | None = None
    paired: list[Paired] = []
    thresholds: dict[str, float | None] = {}
    strict: Strict | None = None
    point_adjusted: dict[str, object] = {}

    @property
    def best(self) -> Measures:
        """The winner's measures."""
        return next(family for family in self.families if family.name == self.winner)

    def baseline(self, name: str) -> Measures | None:
        """A baseline by name, or None."""
        return next((baseline for baseline in self.baselines if baseline.name == name), None)


class PrecisionRecall(msgspec.Struct, frozen=True):
    name: str
    recall: list[float]
    precision: list[float]


class CalibrationBin(msgspec.Struct, frozen=True):
    """Test rows of one stretch of risk: means of risk, p0, p1; share of incidents observed; rows and incident clusters in it."""

    risk: float
    observed: float
    p0: float
    p1: float
    rows: int
    clusters: int


class Curves(msgspec.Struct, frozen=True):
    precision_recall: list[PrecisionRecall] = []
    calibration: list[CalibrationBin] = []


class MetricQuality(msgspec.Struct, frozen=True):
    name: str
    seen: int
    refused: int


class RuleQuality(msgspec.Struct, frozen=True):
    rule: str
    refused: int


class Gap(msgspec.Struct, frozen=True):
    entity: str
    start: str
    minutes: float


class Gaps(msgspec.Struct, frozen=True):
    """Silences longer than one and a half periods. missing_share: of all samples expected."""

    count: int
    entities: int
    missing_share: float
    longest: list[Gap] = []


class Quality(msgspec.Struct, frozen=True):
    rows: int = 0
    entities: int = 0
    metrics: list[MetricQuality] = []
    rules: list[RuleQuality] = []
    refused_rows_share: float = 0.0
    gaps: Gaps | None = None


class Model(msgspec.Struct, frozen=True):
    name: str
    version: str | int | None = None
    digest: str | None = None
    uri: str | None = None


class Result(msgspec.Struct, frozen=True):
    """The part of result.json that the report needs."""

    run_id: str
    artifacts: dict[str, str | list[str]]
    pipeline: str = "incident-training"
    source: str = ""
    seconds: float | None = None
    peak_memory_mib: float | None = None
    model: Model | None = None


@dataclass(frozen=True)
class Run:
    """A finished run. predictions: entity, time, label, risk, p0, p1 (test rows); incidents: entity, start, end, cause;
    refused: quarantined cells and rows of ingest and validate together (step, entity, time, metric, value, rule, reason)."""

    folder: Path
    result: Result
    evaluation: Evaluation
    curves: Curves
    predictions: pl.DataFrame
    incidents: pl.DataFrame
    quality: Quality
    refused: pl.DataFrame
    policy: ModelPolicy | None


REFUSED_SCHEMA = dict.fromkeys(("step", "place", "entity", "time", "metric", "value", "rule", "reason"), pl.String)

T = TypeVar("T")


def read_run(folder: Path) -> Run:
    """Everything the report shows. Raises InputError naming the file that is missing or does not read."""
    result = _document(folder / "result.json", Result, "Name a run that finished; `presage report --list` names them.")

    def place(name: str) -> Path:
        found = result.artifacts.get(name)
        if not isinstance(found, str):
            raise InputError(f"{folder / 'result.json'}: artifacts names no {name!r}, so there is nothing to report. Run the pipeline again.")
        return folder / found

    again = "Run the pipeline again."
    evaluation = place("evaluation")
    return Run(
        folder=folder,
        result=result,
        evaluation=_document(evaluation / "evaluation.json", Evaluation, again),
        curves=_document(evaluation / "curves.json", Curves, again),
        predictions=_table(evaluation / "predictions.parquet"),
        incidents=_table(place("labels") / "incidents.parquet"),
        quality=_document(place("quality") / "quality.json", Quality, again),
        refused=pl.concat([_refused("ingest", place("quarantine") / "rows.parquet"), _refused("validate", place("quality") / "quarantine.parquet")]),
        policy=_policy(folder),
    )


def _document(path: Path, kind: type[T], remedy: str) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise InputError(f"{path} is missing. {remedy}") from None
    except msgspec.MsgspecError as error:
        raise InputError(f"{path}: {error}. {remedy}") from None


def _table(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing. Run the pipeline again.") from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path} does not read as Parquet ({str(error).splitlines()[0]}). Run the pipeline again.") from None


def _refused(step: str, path: Path) -> pl.DataFrame:
    """The quarantine file of a step, every column as text; empty where the step refused nothing and wrote no file."""
    if not path.exists():
        return pl.DataFrame(schema=REFUSED_SCHEMA)
    table = _table(path)
    columns = [(pl.col(name) if name in table.columns else pl.lit(None)).cast(pl.String).alias(name) for name in REFUSED_SCHEMA if name != "step"]
    return table.select(pl.lit(step).alias("step"), *columns)


def _policy(folder: Path) -> ModelPolicy | None:
    path = folder / "policy.yaml"
    return load_model_policy(path) if path.exists() else None
