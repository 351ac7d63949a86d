"""The feature engine: readings in, feature rows at tick times out. Batch and live refresh call this one function.

A window feature at tick t covers (t − w, t]. Ticks are whole multiples of the view's tick since the Unix epoch. What each
term means exactly is written in docs/features.md. A row exists at every tick whose longest window saw its entity at least
once, and depends on nothing outside that window: the last hours give the same bits as all history.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from presage.durations import format_duration
from presage.errors import InputError
from presage.features.calendar import calendar_terms
from presage.features.declaration import BoundView
from presage.features.moments import Array, Index, Moments, empty, fold, of_samples, trailing
from presage.telemetry.schema import TIME

Floats = npt.NDArray[np.float32]
_MICROSECOND = timedelta(microseconds=1)
_LARGEST = 50_000_000  # entities × ticks that fit into memory as counts; more means a stray timestamp
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_CELLS = 100_000  # metrics × entities × ticks worked on at once: ten float64 arrays of these stay in a core's cache


@dataclass(frozen=True)
class FeatureTable:
    """rows: entity, time, every name of `bound.names` Float32 (null = unknown), `coverage_<window>` Float32, warming Boolean;
    sorted by (entity, time). ticks: entity, time, one Float32 column a metric: the mean over (t − tick, t], null where
    nothing was seen; where only some ticks were asked for, ticks reach back as far as those rows' history does."""

    bound: BoundView
    rows: pl.DataFrame
    ticks: pl.DataFrame


@dataclass(frozen=True)
class _Samples:
    """Readings sorted by (entity, time): `first[i]:first[i + 1]` are entity i's rows."""

    entities: list[str]
    first: Index
    micros: Index
    values: list[Array]  # one a metric, NaN = not seen


def coverage_names(bound: BoundView) -> list[str]:
    """`coverage_<window>` in the order of the view's windows."""
    return [f"coverage_{format_duration(window)}" for window in bound.view.windows]


def compute(bound: BoundView, readings: pl.DataFrame, period: timedelta, ticks: tuple[datetime, datetime] | None = None) -> FeatureTable:
    """Feature rows of `readings` (entity, time UTC, a column a metric; a metric that is missing counts as never seen).

    period: how often the source says it samples; coverage is counted against it. ticks: first and last tick wanted, both
    included; None = from the first tick that holds a reading to the last one that the readings reach.
    Of two readings with the same entity and time the first counts. Raises InputError where times have no zone.
    """
    samples = _samples(bound, readings)
    tick = bound.view.tick // _MICROSECOND
    if ticks is not None:
        first, last = -(-_micros(ticks[0]) // tick), _micros(ticks[1]) // tick
    elif samples.micros.size:
        first, last = -(-int(samples.micros.min()) // tick), int(samples.micros.max()) // tick
    else:
        first, last = 1, 0
    return _Engine(bound, samples, period, (first, max(last, first - 1)), reach_back=ticks is not None).table()


def _micros(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND


def _samples(bound: BoundView, readings: pl.DataFrame) -> _Samples:
    dtype = readings.schema["time"]
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
        raise InputError(f"The readings' time column is {dtype}, not a time with a zone. Convert it to UTC first.")
    present = [metric for metric in bound.metrics if metric in readings.columns]
    # What Float32 cannot hold is no value of a feature row: counted as not seen, like NaN; so is an instant without any value.
    values = [pl.when(pl.col(metric).cast(pl.Float64).abs() <= _LARGEST_FLOAT).then(pl.col(metric).cast(pl.Float64)).alias(metric) for metric in present]
    frame = readings.select("entity", pl.col("time").cast(TIME), *values).drop_nulls(["entity", "time"])
    frame = frame.filter(pl.any_horizontal(pl.col(present).is_not_null())) if present else frame.clear()
    frame = frame.sort("entity", "time", maintain_order=True).unique(["entity", "time"], keep="first", maintain_order=True)
    runs = frame["entity"].rle().struct.unnest()
    first = np.concatenate([[0], np.cumsum(runs["len"].to_numpy().astype(np.int64))])
    columns = [frame[metric].to_numpy() if metric in present else np.full(frame.height, np.nan) for metric in bound.metrics]
    return _Samples(runs["value"].to_list(), first, frame["time"].dt.epoch("us").to_numpy(), columns)


class _Engine:
    """One call of `compute`: works through the entities in groups small enough to stay in cache."""

    def __init__(self, bound: BoundView, samples: _Samples, period: timedelta, span: tuple[int, int], reach_back: bool) -> None:
        first, last = span
        self.bound, self.view, self.samples = bound, bound.view, samples
        self.widths = [window // self.view.tick for window in self.view.windows]
        self.widest = max(self.widths)
        self.first, self.ticks = first, last - first + 1  # the ticks wanted
        self.origin, self.length = first - self.widest + 1, self.ticks + self.widest - 1  # the grid: what they need to see
        self.expected = np.array([window / period for window in self.view.windows])
        self.reach_back = min(self.view.history, self.widest) - 1 if reach_back else 0

    def table(self) -> FeatureTable:
        """Count instants, so that the rows are known; then fill them group by group."""
        entities, tick = len(self.samples.entities), self.view.tick // _MICROSECOND
        if not entities or self.ticks <= 0:
            entities, self.ticks, self.length = 0, 0, 0
        if entities * self.length > _LARGEST:
            raise InputError(
                f"The readings of {entities} entities span {self.ticks} ticks of {format_duration(self.view.tick)}, more than fit into memory. "
                "Quarantine stray timestamps, or ask for fewer ticks."
            )
        bins = -(-self.samples.micros // tick) - self.origin
        owner = np.repeat(np.arange(len(self.samples.entities)), np.diff(self.samples.first))
        inside = (bins >= 0) & (bins < self.length)
        instants = np.bincount((owner * self.length + bins)[inside], minlength=entities * self.length).reshape(entities, self.length)
        coverage = self._coverage(instants)
        kept = coverage[self.widths.index(self.widest)] > 0
        values = np.empty((len(self.bound.names), int(kept.sum())), np.float32)
        reached = instants[:, self.widest - 1 - self.reach_back :] > 0
        reached[:, self.reach_back :] |= kept
        means = np.empty((len(self.bound.metrics), int(reached.sum())), np.float32)
        group = max(1, _CELLS // max(1, len(self.bound.metrics) * self.length))
        filled = told = 0
        for start in range(0, entities, group):
            stop = min(start + group, entities)
            rows = slice(self.samples.first[start], self.samples.first[stop])
            bin_of = ((owner[rows] - start) * self.length + bins[rows])[inside[rows]]
            grid = self._bins(rows, inside[rows], bin_of, bins[rows][inside[rows]], stop - start)
            seen = grid.n > 0
            tick_means = np.where(seen, grid.mean, np.nan).astype(np.float32)
            keep, reach = kept[start:stop], reached[start:stop]
            means[:, told : told + int(reach.sum())] = tick_means[..., self.widest - 1 - self.reach_back :][:, reach]
            self._fill(values[:, filled : filled + int(keep.sum())], grid, tick_means, coverage[:, start:stop], keep)
            filled, told = filled + int(keep.sum()), told + int(reach.sum())
        return FeatureTable(self.bound, self._rows(values, coverage, kept), self._ticks(means, reached))

    def _coverage(self, instants: Index) -> Floats:
        """[windows, entities, ticks]: instants seen ÷ instants expected, at most 1."""
        before = np.concatenate([np.zeros((instants.shape[0], 1), np.int64), np.cumsum(instants, axis=1)], axis=1)
        ends = slice(self.widest, self.widest + self.ticks)
        shares = [
            np.minimum((before[:, ends] - before[:, self.widest - width : self.widest - width + self.ticks]) / expected, 1.0)
            for width, expected in zip(self.widths, self.expected, strict=True)
        ]
        return np.stack(shares).astype(np.float32)

    def _bins(self, rows: slice, inside: npt.NDArray[np.bool_], bin_of: Index, bins: Index, entities: int) -> Moments:
        """[metrics, entities, grid ticks]: each tick interval's samples, merged."""
        shape = (len(self.bound.metrics), entities, self.length)
        grid = empty((shape[0], entities * self.length))
        if bin_of.size:
            tick = self.view.tick // _MICROSECOND
            seconds = (self.samples.micros[rows][inside] - (bins + self.origin) * tick) / 1e6
            values = np.stack([column[rows][inside] for column in self.samples.values]) if self.samples.values else np.empty((0, bin_of.size))
            starts = np.flatnonzero(np.diff(bin_of, prepend=-1))
            folded = fold(of_samples(values, seconds), np.diff(starts, append=bin_of.size))
            for target, source in zip(vars(grid).values(), vars(folded).values(), strict=True):
                target[:, bin_of[starts]] = source
        return Moments(*(field.reshape(shape) for field in vars(grid).values()))

    def _fill(self, values: Floats, grid: Moments, tick_means: Floats, coverage: Floats, keep: npt.NDArray[np.bool_]) -> None:
        """Write one group's feature columns: values [names, kept rows of the group]."""
        view, metrics = self.view, len(self.bound.metrics)
        columns = len(view.windows) * len(view.aggregations) + len(view.lags)
        by_metric = values[: metrics * columns].reshape(metrics, columns, values.shape[1])
        windows = trailing(grid, self.widths, view.tick.total_seconds())
        for at, width in enumerate(self.widths):
            known = (windows[width].n > 0) & (coverage[at] >= np.float32(view.min_coverage))
            for offset, aggregation in enumerate(view.aggregations):
                feature = _aggregate(windows[width], aggregation)
                by_metric[:, at * len(view.aggregations) + offset] = np.where(known, feature, np.nan)[:, keep]
        for offset, lag in enumerate(view.lags):
            start = self.widest - 1 - lag // view.tick
            by_metric[:, columns - len(view.lags) + offset] = tick_means[..., start : start + self.ticks][:, keep]
        terms = calendar_terms(view.calendar, (self.first + np.arange(self.ticks)) * round(view.tick.total_seconds()))
        for row, term in zip(range(metrics * columns, values.shape[0]), terms, strict=True):
            values[row] = np.broadcast_to(term, keep.shape)[keep]

    def _keys(self, first: int, where: npt.NDArray[np.bool_]) -> dict[str, pl.Series]:
        """entity and time of the chosen cells of [entities, ticks]; `first` is the tick number of column 0."""
        entity, tick = np.nonzero(where)
        names = pl.Series("entity", self.samples.entities[: where.shape[0]], pl.String)
        times = (tick + first) * (self.view.tick // _MICROSECOND)
        return {"entity": names.gather(entity), "time": pl.Series("time", times, pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")}

    def _rows(self, values: Floats, coverage: Floats, kept: npt.NDArray[np.bool_]) -> pl.DataFrame:
        columns = self._keys(self.first, kept)
        for name, column in zip(self.bound.names, values, strict=True):
            columns[name] = pl.Series(name, column, pl.Float32, nan_to_null=True)
        for name, share in zip(coverage_names(self.bound), coverage, strict=True):
            columns[name] = pl.Series(name, share[kept], pl.Float32)
        warming: npt.NDArray[np.bool_] = np.any(coverage < np.float32(self.view.min_coverage), axis=0)
        return pl.DataFrame({**columns, "warming": pl.Series("warming", warming[kept], pl.Boolean)})

    def _ticks(self, means: Floats, reached: npt.NDArray[np.bool_]) -> pl.DataFrame:
        columns = self._keys(self.first - self.reach_back, reached)
        for name, mean in zip(self.bound.metrics, means, strict=True):
            columns[name] = pl.Series(name, mean, pl.Float32, nan_to_null=True)
        return pl.DataFrame(columns)


def _aggregate(window: Moments, aggregation: str) -> Array:
    """One aggregation of every window; cells of windows without a sample are left to the caller."""
    match aggregation:
        case "mean":
            return window.mean
        case "std":
            return np.sqrt(window.m_xx / np.maximum(window.n, 1.0))
        case "min":
            return window.low
        case "max":
            return window.high
        case "last":
            return window.last
        case "delta":
            return window.last - window.first
        case "slope":  # least squares, in unit an hour; a single instant has none
            return np.where(window.m_tt > 0, window.m_tx / np.where(window.m_tt > 0, window.m_tt, 1.0) * 3600.0, np.nan)
    raise InputError(f"No engine knows the aggregation {aggregation!r}. Choose one that presage.features.declaration lists.")
