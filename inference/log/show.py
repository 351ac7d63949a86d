"""One decision with what it was decided on, by name."""

from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

import msgspec
import numpy as np

from inference.journal.record import Snapshot
from inference.log.reading import Logged, Opened, Snapshots, find_decision
from inference.log.subjects import Subjects
from presage.errors import InputError


class ShownReason(msgspec.Struct, frozen=True):
    feature: str
    contribution: float


class ShownInput(msgspec.Struct, frozen=True):
    """values: one; of a metric's history one a tick, oldest first. null: missing, or masked on its way into the log."""

    name: str
    values: list[float | None]


class ShownDecision(msgspec.Struct, frozen=True):
    """A `Decision` (inference.journal.record) and who made it. inputs: the row that the caller gave, or the features that were looked up;
    history: of a looked-up row. opened: plain, opened (by the subject's key) or sealed (the key is gone, or not here). file: in the log."""

    prediction_id: str
    time: datetime
    model: str
    version: str
    release: str
    region: str
    endpoint: str
    caller: str | None
    caller_id: str | None
    context: dict[str, str]
    server: str | None
    feature_version: str | None
    feature_time: datetime | None
    rung: str
    because: str | None
    used: str
    score: float | None
    risk: float
    low: float
    high: float
    tier: str
    warming: bool
    clipped: int
    distance: float | None
    doubts: list[str]
    reasons: list[ShownReason]
    trace_id: str | None
    shadow_of: str
    subject: str | None
    opened: Opened
    inputs: list[ShownInput]
    history: list[ShownInput]
    file: str


def show(log: Path, prediction_id: str, subjects: Subjects | None) -> ShownDecision:
    """Raises InputError where the log has no such decision."""
    found = find_decision(log, prediction_id, subjects)
    if found is None:
        raise InputError(f"{log}: no decision is called {prediction_id[:100]!r}. It may still be in a journal, or was kept its time and is gone.")
    logged, file = found
    snapshot = None if logged.snapshot is None else Snapshots(log, subjects).of([logged], file.day).get(logged.snapshot)
    decision, writer = logged.decision, logged.writer
    fields = {name: getattr(decision, name) for name in decision.__struct_fields__ if name not in ("x", "time", "feature_time", "reasons")}
    return ShownDecision(
        **fields,
        time=datetime.fromtimestamp(decision.time, UTC),
        feature_time=None if decision.feature_time is None else datetime.fromtimestamp(decision.feature_time, UTC),
        reasons=[ShownReason(feature, contribution) for feature, contribution in decision.reasons],
        model=writer.model,
        version=writer.version,
        release=writer.release,
        region=writer.region,
        subject=logged.subject,
        opened=logged.opened,
        inputs=_inputs(logged, snapshot),
        history=[] if snapshot is None else _named(snapshot.history, logged.writer.metrics, "metric", snapshot.ticks),
        file=file.key,
    )


def _inputs(logged: Logged, snapshot: Snapshot | None) -> list[ShownInput]:
    if snapshot is not None:
        return _named(snapshot.values, logged.writer.features, "feature", 1)
    names = logged.writer.inputs
    return _named(logged.decision.x, names, "input", len(logged.decision.x) // 4 // len(names) if names else 1)


def _named(raw: bytes, names: tuple[str, ...], kind: str, rows: int) -> list[ShownInput]:
    """rows: of the matrix; its columns are named, or numbered where nobody said how they are called."""
    if not raw or not rows:
        return []
    values = np.frombuffer(raw, "<f4").reshape(rows, -1)
    known = names if len(names) == values.shape[1] else tuple(f"{kind} {index}" for index in range(values.shape[1]))
    return [ShownInput(name, [float(value) if isfinite(value) else None for value in column]) for name, column in zip(known, values.T, strict=True)]
