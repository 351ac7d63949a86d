"""Validated telemetry and feature rows become labels, with the policy's horizon."""

from datetime import timedelta
from pathlib import Path

import polars as pl

from components.label.clusters import number_clusters
from components.label.rows import label_rows
from presage.durations import format_duration
from presage.errors import InputError
from presage.files import write_json, written_aside
from presage.governance.model_policy import ModelPolicy
from presage.telemetry.schema import Telemetry


def label(validated: Path, features: Path, policy: ModelPolicy, labels: Path) -> None:
    """labels.parquet, incidents.parquet, labels.json (docs/architecture.md). Raises InputError: no labels, or one class only."""
    telemetry = Telemetry.load(validated)
    if telemetry.incidents is None or telemetry.labelled is None:
        raise InputError(f"{telemetry.source} has no labels, and incidents cannot be learnt without. Give a column that says when an incident was "
                         "(anomaly, label, incident), or name it in a mapping file.")
    horizon = policy.kpi.horizon
    incidents = number_clusters(telemetry.incidents)
    ticks = pl.read_parquet(features / "rows.parquet", columns=["entity", "time"])
    rows = label_rows(ticks, incidents, telemetry.labelled, horizon)
    positive, negative = (int((rows["label"] == value).sum()) for value in (1, 0))
    if not positive or not negative:
        raise InputError(_one_class(telemetry.source, horizon, positive, negative, rows.height))
    with written_aside(labels) as aside:
        aside.mkdir(parents=True)
        rows.write_parquet(aside / "labels.parquet")
        incidents.write_parquet(aside / "incidents.parquet")
        write_json(aside / "labels.json", {
            "kpi": policy.kpi.id,
            "horizon": format_duration(horizon),
            "horizon_minutes": horizon.total_seconds() / 60,
            "rows": rows.height,
            "labelled": positive + negative,
            "positive": positive,
            "prevalence": positive / (positive + negative),
            "strict_positive": int((rows["strict"] == 1).sum()),
            "incidents": incidents.height,
            "clusters": incidents["cluster"].n_unique(),
        })


def _one_class(source: str, horizon: timedelta, positive: int, negative: int, rows: int) -> str:
    if not positive and not negative:
        return (f"{source}: none of the {rows} ticks is labelled with its whole horizon of {format_duration(horizon)}. "
                "Give labelled time that is longer than the horizon.")
    if positive:
        return f"{source}: all {positive} labelled ticks are incidents, one class only. Label times without incidents too, or shorten the policy's horizon."
    return f"{source}: none of the {negative} labelled ticks is an incident, one class only. Give a longer history, or one in which something happened."
