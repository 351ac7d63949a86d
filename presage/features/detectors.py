"""Six unsupervised detectors as plain arrays: how unusual the last ticks of a server are, in numpy alone.

    autoregressive_1   what the next tick should be, from the hour before it (ridge)
    autoregressive_12  the same, foretold an hour ahead
    cross_metric       each metric from all the others at the same tick (ridge)
    time_of_day        robust distance from this hour's median
    principal          what the main directions of half an hour's window leave unexplained
    regimes            distance to the nearest of the half-hours that usually occur (k-means)

A raw score is the mean over metrics of |residual| in units of that residual's usual size; it becomes −log of its tail
probability under the unlabelled rows, so that detectors and servers compare, and `ensemble` is the mean of the six. A score
at a tick needs the REACH ticks that end there, and a feature the scores of the last SPAN ticks, so 71 ticks of per-tick
means tell everything: a row computed live equals the row computed over the whole series. Fitting lies in components/detect.

    detectors = Detectors.load(content)                           # the verified bytes of detectors.safetensors
    detectors.features(history, entities, times)                  # f32[n, len(detectors.names)]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from safetensors import SafetensorError
from safetensors.numpy import load

from presage.arrays import arrays_to_bytes
from presage.durations import format_duration
from presage.errors import ArtifactRefused, InputError
from presage.files import write_bytes

F32 = npt.NDArray[np.float32]
DETECTORS = ("autoregressive_1", "autoregressive_12", "cross_metric", "time_of_day", "principal", "regimes")
LAGS = 12  # ticks an autoregression looks back
REACH = 2 * LAGS  # ticks a score needs, its own included
WINDOW = 6  # ticks of a window of `principal` and `regimes`
SPAN = 48  # ticks of scores the longest aggregate covers
HISTORY = REACH + SPAN - 1  # ticks a feature row needs
HOURS = 24  # bins of time_of_day
CLIP = 10.0  # a standardised value beyond this says no more than this
RESIDUAL_CLIP = 30.0
SURPRISE_CAP = 25.0  # −log tail probability that no score exceeds
LEVELS: F32 = np.linspace(0.0, -np.log(0.02), 64, dtype=np.float32)  # −log tail probability of each stored quantile
AGGREGATES = (("last", 1), ("mean", 3), ("mean", 12), ("max", 12), ("mean", SPAN), ("max", SPAN))
_FORMAT = "presage.detectors/v1"
_Cell = TypeVar("_Cell", bound=np.generic)
Residual = tuple[F32, npt.NDArray[np.bool_]]
_CHUNK = 128  # rows whose arrays are gathered at once


class _About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metrics: list[str]
    entities: list[str]
    tick_seconds: int


@dataclass(frozen=True)
class Detectors:
    """metrics: the columns of a history, in order. entities: those fitted one by one; any other gets the arrays fitted
    on all of them together, which lie last. arrays: f32, first axis len(entities) + 1, as `array_shapes` says."""

    metrics: tuple[str, ...]
    entities: tuple[str, ...]
    tick: timedelta
    arrays: dict[str, F32]

    @property
    def names(self) -> list[str]:
        """Feature columns in order: per detector (the ensemble last) its aggregates."""
        return [f"detector.{detector}.{name}" for detector in (*DETECTORS, "ensemble") for name in self._aggregate_names]

    @property
    def ensemble(self) -> str:
        """The column that is the unsupervised ensemble at the tick itself."""
        return "detector.ensemble.last"

    @property
    def _aggregate_names(self) -> list[str]:
        return [kind if ticks == 1 else f"{kind}_{format_duration(ticks * self.tick)}" for kind, ticks in AGGREGATES]

    def features(self, history: npt.NDArray[np.floating], entities: Sequence[str], times: npt.ArrayLike | None = None) -> F32:
        """The live form. history: f32[n, ≥ HISTORY, metrics] per-tick means, oldest first, ending at the row's tick, NaN =
        not seen; times: f64[n], that tick in Unix seconds → f32[n, len(names)], NaN where too little was seen.

        Raises InputError where shapes do not fit.
        """
        recent, ticks, which = self._checked(history, entities, times)
        rows = np.empty((len(recent), len(self.names)), np.float32)
        for start in range(0, len(recent), _CHUNK):
            part = slice(start, start + _CHUNK)
            rows[part] = self._rows(recent[part], ticks[part], which[part])[:, -1]
        return rows

    def deviations(self, history: npt.NDArray[np.floating], entities: Sequence[str], times: npt.ArrayLike | None = None) -> tuple[F32, F32]:
        """What `features` are made of. Takes the same → surprise f32[n, SPAN, detectors] of each tick, NaN where too little was
        seen, and share f32[n, SPAN, detectors, metrics]: how much of that tick's raw score is each metric's, ≥ 0 with sum 1, all
        0 where nothing was seen or nothing deviates. Exact: a raw score is a mean over cells, and each cell is of one metric."""
        z, hours, fitted = self._standardised(*self._checked(history, entities, times))
        residuals = detector_residuals(z, hours, fitted)
        return self._surprises(residuals, fitted), np.stack([_metric_share(*residual, len(self.metrics)) for residual in residuals], axis=2)

    def series(self, series: npt.NDArray[np.floating], times: npt.ArrayLike, entity: str) -> F32:
        """The batch form, equal row by row. series: f32[T, metrics] on the tick grid without holes (NaN = not seen); times:
        f64[T], Unix seconds → f32[T, len(names)]."""
        ticks = np.asarray(times, dtype=np.float64).reshape(-1)
        if not len(ticks):
            return np.empty((0, len(self.names)), np.float32)
        before = np.full((HISTORY - 1, len(self.metrics)), np.nan, np.float32)
        whole = np.concatenate([before, np.asarray(series, dtype=np.float32)])[None]
        clock = np.concatenate([ticks[0] - np.arange(HISTORY - 1, 0, -1) * self.tick.total_seconds(), ticks])[None]
        which = np.array([self.entities.index(entity) if entity in self.entities else len(self.entities)], dtype=np.intp)
        rows: F32 = self._rows(whole, clock, which)[0]
        return rows

    def _rows(self, x: F32, times: npt.NDArray[np.float64], which: npt.NDArray[np.intp]) -> F32:
        """x f32[n, T, M], times f64[n, T], which int[n] → f32[n, T − HISTORY + 1, K]."""
        z, hours, fitted = self._standardised(x, times, which)
        surprise = self._surprises(detector_residuals(z, hours, fitted), fitted)
        ensemble = _mean(surprise, np.isfinite(surprise), axis=2)[..., None]
        return _aggregated(np.concatenate([surprise, ensemble], axis=2))

    def _checked(
        self, history: npt.NDArray[np.floating], entities: Sequence[str], times: npt.ArrayLike | None
    ) -> tuple[F32, npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        """The last HISTORY ticks f32[n, HISTORY, M], their instants f64[n, HISTORY], whose arrays each row takes int[n]."""
        if times is None:
            raise InputError("detector features know the time of day. Give the rows' event times, Unix seconds.")
        x = np.asarray(history)
        if x.ndim != 3 or x.shape[1] < HISTORY or x.shape[2] != len(self.metrics):
            raise InputError(f"detector features need a history [rows, ≥ {HISTORY} ticks, {len(self.metrics)} metrics]; this is {list(x.shape)}.")
        ends = np.asarray(times, dtype=np.float64).reshape(-1)
        if not len(x) == len(entities) == len(ends):
            raise InputError(f"detector features got {len(x)} histories, {len(entities)} entities and {len(ends)} times. Give one of each a row.")
        ticks = ends[:, None] - np.arange(HISTORY - 1, -1, -1) * self.tick.total_seconds()
        known = {entity: index for index, entity in enumerate(self.entities)}
        which = np.array([known.get(entity, len(self.entities)) for entity in entities], dtype=np.intp)
        return x[:, -HISTORY:].astype(np.float32, copy=False), ticks, which

    def _standardised(self, x: F32, times: npt.NDArray[np.float64], which: npt.NDArray[np.intp]) -> tuple[F32, npt.NDArray[np.intp], dict[str, F32]]:
        """z f32[n, T, M], the hour of each tick that has a score int[n, T − REACH + 1], the arrays gathered a row."""
        fitted = {name: array[which] for name, array in self.arrays.items()}
        z = np.clip((x - fitted["center"][:, None]) / fitted["scale"][:, None], -CLIP, CLIP)
        return z, (times[:, REACH - 1 :] // 3600 % HOURS).astype(np.intp), fitted

    @staticmethod
    def _surprises(residuals: list[Residual], fitted: dict[str, F32]) -> F32:
        return _surprise(mean_residuals(residuals), fitted["quantiles"], fitted["shape"])

    def save(self, path: Path) -> None:
        """Write the safetensors form, whole or not at all; the same fit gives the same bytes."""
        about = msgspec.json.encode(_About(list(self.metrics), list(self.entities), round(self.tick.total_seconds()))).decode()
        arrays = {name: np.asarray(array, dtype=np.float32) for name, array in self.arrays.items()}
        write_bytes(path, arrays_to_bytes(arrays, {"format": _FORMAT, "about": about}))

    @classmethod
    def load(cls, content: bytes) -> "Detectors":
        """Read and check every shape and value; raises ArtifactRefused("format")."""
        try:
            header = msgspec.json.decode(content[8 : 8 + int.from_bytes(content[:8], "little")])
            metadata = header["__metadata__"]
            about = msgspec.json.decode(metadata["about"], type=_About)
            arrays = load(content)
        except (SafetensorError, msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            raise _refused("cannot be read as detectors") from error
        if metadata.get("format") != _FORMAT or about.tick_seconds <= 0 or not about.metrics or len(set(about.metrics)) != len(about.metrics):
            raise _refused(f"says format {metadata.get('format')!r}, {len(about.metrics)} metrics, a tick of {about.tick_seconds} s")
        if "components" not in arrays or "centroids" not in arrays:
            raise _refused("holds no components or no centroids")
        shapes = array_shapes(len(about.metrics), arrays["components"].shape[-1], arrays["centroids"].shape[-2] if arrays["centroids"].ndim == 3 else 0)
        if arrays.keys() != shapes.keys():
            raise _refused(f"holds the arrays {', '.join(sorted(arrays))}, not {', '.join(sorted(shapes))}")
        for name, shape in shapes.items():
            array = arrays[name]
            if array.dtype != np.float32 or array.shape != (len(about.entities) + 1, *shape) or not np.isfinite(array).all():
                raise _refused(f"holds {name} as {array.dtype} {list(array.shape)}, not as finite float32 {[len(about.entities) + 1, *shape]}")
            if name.endswith("scale") and (array <= 0).any():
                raise _refused(f"holds a {name} that is not positive")
        if (np.diff(arrays["quantiles"], axis=2) < 0).any():
            raise _refused("holds quantiles that fall")
        return cls(tuple(about.metrics), tuple(about.entities), timedelta(seconds=about.tick_seconds), arrays)


def array_shapes(metrics: int, components: int, centroids: int) -> dict[str, tuple[int, ...]]:
    """Each array's shape for one entity. *_scale: the usual size of that residual; shape: how fast the tail beyond the last
    quantile thins (Pareto exponent)."""
    lagged, window = LAGS * metrics, WINDOW * metrics
    return {
        "center": (metrics,), "scale": (metrics,),
        "autoregressive_1": (lagged, metrics), "autoregressive_1_intercept": (metrics,), "autoregressive_1_scale": (metrics,),
        "autoregressive_12": (lagged, metrics), "autoregressive_12_intercept": (metrics,), "autoregressive_12_scale": (metrics,),
        "cross_metric": (metrics, metrics), "cross_metric_scale": (metrics,),
        "hour_center": (HOURS, metrics), "hour_scale": (HOURS, metrics),
        "components": (window, components), "principal_scale": (window,),
        "centroids": (centroids, window),
        "quantiles": (len(DETECTORS), len(LEVELS)), "shape": (len(DETECTORS),),
    }  # fmt: skip


def raw_scores(z: F32, hours: npt.NDArray[np.intp], fitted: dict[str, F32]) -> F32:
    """z: f32[n, T, M] standardised, NaN = not seen; hours: int[n, T − REACH + 1]; fitted: arrays gathered a row, [n, …]
    → f32[n, T − REACH + 1, detectors], NaN where nothing, or less than half of what the score looks at, was seen."""
    return mean_residuals(detector_residuals(z, hours, fitted))


def mean_residuals(residuals: list[Residual]) -> F32:
    """→ f32[n, T', detectors]."""
    return np.stack([_mean(np.minimum(np.abs(residual), RESIDUAL_CLIP), seen, axis=2) for residual, seen in residuals], axis=2)


def detector_residuals(z: F32, hours: npt.NDArray[np.intp], fitted: dict[str, F32]) -> list[Residual]:
    """Per detector (scaled residual f32[n, T', cells], which cells count bool): what `raw_scores` takes the mean of. Cells lie
    tick by tick, each tick's in the order of the metrics."""
    seen = np.isfinite(z)
    filled = np.where(seen, z, np.float32(0))
    now, now_seen = filled[:, REACH - 1 :], seen[:, REACH - 1 :]
    count = now.shape[1]
    share = seen.mean(axis=2, dtype=np.float32)
    lagged = windows(filled, LAGS)
    lagged_share = sliding_window_view(share, LAGS, axis=1).mean(axis=2)
    results: list[Residual] = []
    for name, steps in (("autoregressive_1", 1), ("autoregressive_12", LAGS)):
        inputs = slice(LAGS - steps, LAGS - steps + count)
        expected = lagged[:, inputs] @ fitted[name] + fitted[f"{name}_intercept"][:, None]
        enough = (lagged_share[:, inputs] >= 0.5)[..., None]
        results.append(((now - expected) / fitted[f"{name}_scale"][:, None], now_seen & enough))
    enough = (share[:, REACH - 1 :] >= 0.5)[..., None]
    results.append(((now @ fitted["cross_metric"]) / fitted["cross_metric_scale"][:, None], now_seen & enough))
    row = np.arange(len(z))[:, None]
    results.append(((now - fitted["hour_center"][row, hours]) / fitted["hour_scale"][row, hours], now_seen))
    first = REACH - WINDOW
    window, window_seen = windows(filled, WINDOW)[:, first:], windows(seen, WINDOW)[:, first:]
    enough = (sliding_window_view(share, WINDOW, axis=1)[:, first:].mean(axis=2) >= 0.5)[..., None]
    components = fitted["components"]
    unexplained = window - (window @ components) @ components.transpose(0, 2, 1)
    results.append((unexplained / fitted["principal_scale"][:, None], window_seen & enough))
    centroids = fitted["centroids"]
    distance = (centroids**2).sum(axis=2)[:, None] - 2 * (window @ centroids.transpose(0, 2, 1))
    results.append((window - centroids[row, distance.argmin(axis=2)], window_seen & enough))
    return results


def _metric_share(residual: F32, seen: npt.NDArray[np.bool_], metrics: int) -> F32:
    """f32[n, T', cells] → f32[n, T', metrics]: each metric's part of the sum that `mean_residuals` divides."""
    size = np.where(seen, np.minimum(np.abs(residual), RESIDUAL_CLIP), np.float32(0))
    parts: F32 = size.reshape(*size.shape[:2], -1, metrics).sum(axis=2)
    total = parts.sum(axis=2, keepdims=True)
    share: F32 = np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)
    return share


def windows(values: npt.NDArray[_Cell], length: int) -> npt.NDArray[_Cell]:
    """[n, T, M] → [n, T − length + 1, length · M]: each window's ticks, oldest first."""
    view = sliding_window_view(values, length, axis=1).transpose(0, 1, 3, 2)
    return view.reshape(*view.shape[:2], -1)


def tail_of(raw: F32) -> tuple[F32, float]:
    """What `_surprise` needs of finite raw scores f32[k]: their quantiles at LEVELS, and the tail's Pareto exponent."""
    quantiles = np.quantile(raw.astype(np.float64), 1 - np.exp(-LEVELS.astype(np.float64)))
    far = np.quantile(raw.astype(np.float64), 0.998)
    spread = np.log(max(far, _FLOOR) / max(quantiles[-1], _FLOOR))
    return np.maximum.accumulate(quantiles.astype(np.float32)), float(np.log(10.0) / max(spread, 0.1))


_FLOOR = 0.01  # a raw score this small is no deviation at all


def _surprise(raw: F32, quantiles: F32, shape: F32) -> F32:
    """−log tail probability: between stored quantiles by interpolation, beyond the last as a Pareto tail."""
    result = np.empty_like(raw)
    for row in range(raw.shape[0]):
        for detector in range(raw.shape[2]):
            result[row, :, detector] = np.interp(raw[row, :, detector], quantiles[row, detector], LEVELS)
    last = np.maximum(quantiles[:, None, :, -1], _FLOOR)
    with np.errstate(invalid="ignore"):
        beyond = LEVELS[-1] + shape[:, None] * np.log(np.maximum(raw, last) / last)
        result = np.where(raw > last, beyond, result)
    return np.minimum(result, np.float32(SURPRISE_CAP)).astype(np.float32, copy=False)


def _aggregated(scores: F32) -> F32:
    """f32[n, T', D] → f32[n, T' − SPAN + 1, D · aggregates] over trailing ticks, missing scores left out."""
    count = scores.shape[1] - SPAN + 1
    seen = np.isfinite(scores)
    columns = []
    for kind, ticks in AGGREGATES:
        recent = slice(scores.shape[1] - count - ticks + 1, None)
        values, there = (sliding_window_view(part[:, recent], ticks, axis=1) for part in (scores, seen))
        if kind == "max":
            top = np.where(there, values, np.float32(-np.inf)).max(axis=3)
            columns.append(np.where(np.isfinite(top), top, np.float32(np.nan)))
        else:
            columns.append(_mean(values, there, axis=3))
    return np.stack(columns, axis=3).reshape(len(scores), count, -1)


def _mean(values: F32, seen: npt.NDArray[np.bool_], axis: int) -> F32:
    """Mean over the cells that count; NaN where none does."""
    total = np.where(seen, values, np.float32(0)).sum(axis=axis, dtype=np.float32)
    count = seen.sum(axis=axis, dtype=np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.float32(np.nan))


def _refused(what: str) -> ArtifactRefused:
    return ArtifactRefused("format", f"detectors.safetensors {what}. Package the model again.")
