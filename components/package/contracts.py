"""The contract of a trained model: its inputs with units and believable ranges, its outputs.

A range is physical where the metric's own bounds imply one; elsewhere it is what training saw, widened by ten times its span
on each side: wide enough for anything real, narrow enough to refuse a value of another unit.
"""

import math
from datetime import timedelta

import polars as pl

from presage.durations import format_duration
from presage.errors import InputError
from presage.features.declaration import BoundView
from presage.package.contract import Contract, InputField, Kind, OutputField
from presage.telemetry.schema import Metric

VERSION = "1.0.0"
WIDENED = 10.0
_SAME_UNIT = ("mean", "min", "max", "last", "lag")
OUTPUTS = [
    OutputField("risk", "FP32", [-1], "probability that an incident is active or starts within the horizon"),
    OutputField("interval", "FP32", [-1, 2], "Venn–Abers bounds of the risk: [p0, p1]"),
    OutputField("tier", "BYTES", [-1], "escalation tier: none, watch, act, page"),
    OutputField("reasons", "BYTES", [-1], "JSON list of {feature, value, contribution}, strongest first; on request"),
]


def feature_row_contract(name: str, bound: BoundView, metrics: tuple[Metric, ...], *, rows: pl.DataFrame, detectors: list[str], horizon: timedelta) -> Contract:
    """rows: the feature rows that trained the model, detector columns joined to them."""
    known = {metric.name: metric for metric in metrics}
    inputs = [_input(column, known, rows) for column in [*bound.names, *detectors]]
    return _contract(name, "feature_row", inputs, bound, horizon, detectors=len(detectors))


def sequence_contract(name: str, bound: BoundView, metrics: tuple[Metric, ...], *, ticks: pl.DataFrame, history: int, horizon: timedelta) -> Contract:
    """ticks: the per-tick means that trained the model; history: how many of them it takes, oldest first."""
    known = {metric.name: metric for metric in metrics}
    inputs = [_field(metric, known[metric].unit, known[metric].low, known[metric].high, ticks) for metric in bound.metrics]
    return _contract(name, "sequence", inputs, bound, horizon, history=history)


def _contract(name: str, kind: Kind, inputs: list[InputField], bound: BoundView, horizon: timedelta, *, detectors: int = 0, history: int = 0) -> Contract:
    return Contract(
        name=name,
        version=VERSION,
        kind=kind,
        inputs=inputs,
        outputs=OUTPUTS,
        features=bound.as_document(),
        feature_version=bound.version,
        detectors=detectors,
        history=history,
        entity=bound.view.entity,
        horizon=format_duration(horizon),
    )


def _input(column: str, known: dict[str, Metric], rows: pl.DataFrame) -> InputField:
    if column.startswith("calendar."):
        return InputField(column, "1", -1.0, 1.0)
    if column.startswith("detector."):
        return _field(column, "1", 0.0, None, rows)  # −log of a probability
    metric_name, _, term = column.rpartition(".")
    metric = known.get(metric_name)
    if metric is None:
        raise InputError(f"feature {column} is of no metric of this telemetry. Featurize and train on the same source.")
    aggregation = term.partition("_")[0]
    low, high = metric.low, metric.high
    span = high - low if low is not None and high is not None else None
    if aggregation in _SAME_UNIT:
        return _field(column, metric.unit, low, high, rows)
    if aggregation == "std":
        return _field(column, metric.unit, 0.0, None if span is None else span / 2, rows)
    if aggregation == "delta":
        return _field(column, metric.unit, None if span is None else -span, span, rows)
    return _field(column, f"{metric.unit}/h", None, None, rows)  # slope


def _field(column: str, unit: str, low: float | None, high: float | None, seen: pl.DataFrame) -> InputField:
    """A missing bound is taken from what was seen."""
    if low is None or high is None:
        values = seen.get_column(column).fill_nan(None).drop_nulls()
        if len(values):
            least, most = float(values.min()), float(values.max())  # type: ignore[arg-type]
            room = WIDENED * ((most - least) or abs(most) or 1.0)
            low = math.floor(least - room) if low is None else low
            high = math.ceil(most + room) if high is None else high
    return InputField(column, unit, None if low is None else float(low), None if high is None else float(high))
