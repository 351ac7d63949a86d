"""What is not believable of a metric: one rule a function, each over the samples of one metric.

A rule sees `samples`: entity, time, value (never null), sorted by (entity, time). It answers with two expressions over
them: which are refused, and why (a sentence). Rules run in the order of CELL_RULES; each sees what those before it left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from presage.telemetry.schema import Metric

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""An event time before this is a clock that lost its battery, not history."""
CLOCK_TOLERANCE = timedelta(minutes=5)
LARGEST = 1e20
"""Of any metric: nothing measured is larger, and slopes and squares of it still fit the features' Float32."""
UNIT_FACTOR = 1.5
"""An entity whose median lies this many spans past the believable range reports in another unit, not in spikes."""

_value, _time = pl.col("value"), pl.col("time")
_first = (pl.col("entity") != pl.col("entity").shift(1)).fill_null(True)  # first sample of its entity


@dataclass(frozen=True)
class CellRule:
    """name: as in quality.json. applies: which metrics. refuses: Boolean over samples. reason: the sentence."""

    name: str
    applies: Callable[[Metric], bool]
    refuses: Callable[[Metric], pl.Expr]
    reason: Callable[[Metric], pl.Expr]


def _spoken(metric: Metric) -> str:
    low, high = _bounds(metric)
    return f"{metric.name} lies in [{low:g}, {high:g}] {metric.unit}"


def _bounds(metric: Metric) -> tuple[float, float]:
    return -LARGEST if metric.low is None else metric.low, LARGEST if metric.high is None else metric.high


def _other_unit(metric: Metric) -> pl.Expr:
    assert metric.low is not None and metric.high is not None
    middle, span = _value.filter(_value.is_finite()).median().over("entity"), metric.high - metric.low
    return (middle > metric.low + UNIT_FACTOR * span) | (middle < metric.high - UNIT_FACTOR * span)


def _other_unit_reason(metric: Metric) -> pl.Expr:
    guess = "it looks like percent" if metric.unit == "1" and metric.high == 1 else "it looks like another unit"
    return pl.format(f"{_spoken(metric)}, but the median of this entity is {{}}: {guess}. Convert it at the source.",
                     _value.filter(_value.is_finite()).median().over("entity").round(4))


def _out_of_range(metric: Metric) -> pl.Expr:
    low, high = _bounds(metric)
    return ~_value.is_finite() | (_value < low - 1e-9 * max(1.0, abs(low))) | (_value > high + 1e-9 * max(1.0, abs(high)))


def _rate(back: int) -> pl.Expr:
    """Change a second since `back` samples ago; null where that is another entity's."""
    change = (_value - _value.shift(back)).abs() / (_time - _time.shift(back)).dt.total_microseconds() * 1e6
    return pl.when(pl.col("entity") == pl.col("entity").shift(back)).then(change)


def _too_fast(metric: Metric) -> pl.Expr:
    jump = (_rate(1) > metric.max_rate).fill_null(False)
    # After one wild sample the way back is as steep: it is no second fault where it meets the sample before.
    way_back = jump.shift(1).fill_null(False) & (_rate(2) <= metric.max_rate).fill_null(False)
    return jump & ~way_back


def _stuck(metric: Metric) -> pl.Expr:
    number = pl.int_range(pl.len())
    start = pl.when(_first | (_value != _value.shift(1))).then(number).forward_fill()
    at_a_bound = (_value == metric.low if metric.low is not None else pl.lit(False)) | (_value == metric.high if metric.high is not None else pl.lit(False))
    return (number - start + 1 >= metric.stuck_after) & ~at_a_bound  # idle and saturated are states, not faults


CELL_RULES: tuple[CellRule, ...] = (
    CellRule("unit", lambda metric: metric.low is not None and metric.high is not None, _other_unit, _other_unit_reason),
    CellRule("range", lambda metric: True, _out_of_range, lambda metric: pl.format(f"{{}} is not believable: {_spoken(metric)}.", _value)),
    CellRule("rate_of_change", lambda metric: metric.max_rate is not None, _too_fast,
             lambda metric: pl.format(f"{metric.name} moved by {{}} {metric.unit} a second; at most {metric.max_rate:g} is believable.", _rate(1).round(6))),
    CellRule("stuck_value", lambda metric: metric.stuck_after is not None, _stuck,
             lambda metric: pl.lit(f"{metric.name} stood still for {metric.stuck_after} samples or more: a stuck sensor.")),
)


def clock_skew(now: datetime) -> pl.Expr:
    """Whole rows whose time cannot be: in the future of `now`, or before any telemetry was kept."""
    return (_time > now + CLOCK_TOLERANCE) | (_time < EARLIEST)


def clock_skew_reason(now: datetime) -> pl.Expr:
    ahead = pl.format(f"the clock is {{}} ahead of {now:%Y-%m-%d %H:%M} UTC. Set the host's clock.", (_time - now).dt.to_string("polars"))
    return pl.when(_time > now).then(ahead).otherwise(pl.lit(f"the time lies before {EARLIEST:%Y}: the host's clock was never set."))
