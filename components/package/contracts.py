"""The contract of a trained model: its inputs with units and believable ranges, its outputs.

A range is physical where the metric's own bounds imply one; elsewhere it is what training saw, widened by ten times its span
on each side: wide enough for anything real, narrow enough to refuse a value of another unit. What the last release took is taken
again, so that training again narrows no caller's range (presage.contracts.settling).
"""

import math
from collections.abc import Collection
from datetime import timedelta

import polars as pl

from presage.durations import format_duration
from presage.errors import InputError
from presage.features.declaration import BoundView
from presage.governance.model_policy import TIERS
from presage.package.contract import Contract, InputField, Kind, OutputField
from presage.telemetry.schema import Metric

UNSETTLED = "1.0.0"  # the version follows from the difference to the last release
WIDENED = 10.0
_SAME_UNIT = ("mean", "min", "max", "last", "lag")
OUTPUTS = [
    OutputField("risk", "FP32", [-1], "probability that an incident is active or starts within the horizon", low=0.0, high=1.0),
    OutputField("interval", "FP32", [-1, 2], "Venn–Abers bounds of the risk: [p0, p1]", low=0.0, high=1.0),
    OutputField("tier", "BYTES", [-1], "escalation tier: none, watch, act, page", values=list(TIERS)),
    OutputField("reasons", "BYTES", [-1], "JSON list of {feature, value, contribution}, strongest first; on request"),
]


def feature_row_contract(
    name: str,
    bound: BoundView,
    metrics: tuple[Metric, ...],
    *,
    rows: pl.DataFrame,
    detectors: list[str],
    horizon: timedelta,
    before: Collection[InputField] = (),
) -> Contract:
    """rows: the feature rows that trained the model, detector columns joined to them; before: the inputs whose ranges are promised already."""
    known = {metric.name: metric for metric in metrics}
    ranges = _Ranges(rows, before)
    inputs = [_input(column, known, ranges) for column in [*bound.names, *detectors]]
    return _contract(name, "feature_row", inputs, bound, horizon, detectors=len(detectors))


def sequence_contract(
    name: str,
    bound: BoundView,
    metrics: tuple[Metric, ...],
    *,
    ticks: pl.DataFrame,
    history: int,
    horizon: timedelta,
    before: Collection[InputField] = (),
) -> Contract:
    """ticks: the per-tick means that trained the model; history: how many of them it takes, oldest first; before: as above."""
    known = {metric.name: metric for metric in metrics}
    ranges = _Ranges(ticks, before)
    inputs = [ranges.field(metric, known[metric].unit, known[metric].low, known[metric].high) for metric in bound.metrics]
    return _contract(name, "sequence", inputs, bound, horizon, history=history)


def _contract(name: str, kind: Kind, inputs: list[InputField], bound: BoundView, horizon: timedelta, *, detectors: int = 0, history: int = 0) -> Contract:
    return Contract(
        name=name,
        version=UNSETTLED,
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


def _input(column: str, known: dict[str, Metric], ranges: "_Ranges") -> InputField:
    if column.startswith("calendar."):
        return InputField(column, "1", -1.0, 1.0)
    if column.startswith("detector."):
        return ranges.field(column, "1", 0.0, None)  # −log of a probability
    metric_name, _, term = column.rpartition(".")
    metric = known.get(metric_name)
    if metric is None:
        raise InputError(f"feature {column} is of no metric of this telemetry. Featurize and train on the same source.")
    aggregation = term.partition("_")[0]
    low, high = metric.low, metric.high
    span = high - low if low is not None and high is not None else None
    if aggregation in _SAME_UNIT:
        return ranges.field(column, metric.unit, low, high)
    if aggregation == "std":
        return ranges.field(column, metric.unit, 0.0, None if span is None else span / 2)
    if aggregation == "delta":
        return ranges.field(column, metric.unit, None if span is None else -span, span)
    return ranges.field(column, f"{metric.unit}/h", None, None)  # slope


class _Ranges:
    """The believable range of each column, from what was seen and from what is promised already."""

    def __init__(self, seen: pl.DataFrame, before: Collection[InputField]) -> None:
        self._seen = seen
        self._before = {field.name: field for field in before}

    def field(self, column: str, unit: str, low: float | None, high: float | None) -> InputField:
        """A missing bound is the last release's where all that was seen lies within it, else made from what was seen, and never a narrower one."""
        before = self._before.get(column)
        if before is not None and before.unit != unit:
            before = None
        if low is None or high is None:
            values = self._seen.get_column(column).fill_nan(None).drop_nulls()
            if len(values):
                least, most = float(values.min()), float(values.max())  # type: ignore[arg-type]
                room = WIDENED * ((most - least) or abs(most) or 1.0)
                low = self._low(least, least - room, before) if low is None else low
                high = self._high(most, most + room, before) if high is None else high
        return InputField(column, unit, None if low is None else float(low), None if high is None else float(high))

    def _low(self, least: float, made: float, before: InputField | None) -> float | None:
        if before is None:
            return math.floor(made)
        return before.low if before.low is None or before.low <= least else math.floor(made)

    def _high(self, most: float, made: float, before: InputField | None) -> float | None:
        if before is None:
            return math.ceil(made)
        return before.high if before.high is None or most <= before.high else math.ceil(made)
