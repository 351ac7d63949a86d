"""Fit the six detectors of presage.features.detectors on unlabelled per-tick means, one set of arrays an entity.

Ridges have closed forms, medians and quantiles are counted, k-means is scikit-learn's mini-batch one with a fixed seed:
the same rows give the same arrays. Nothing here sees a label.
"""

from datetime import timedelta

import numpy as np
import numpy.typing as npt

from presage.errors import InputError
from presage.features.detectors import (
    CLIP,
    HOURS,
    LAGS,
    REACH,
    WINDOW,
    Detectors,
    array_shapes,
    detector_residuals,
    raw_scores,
    tail_of,
    windows,
)

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
RIDGE = 1e-3  # of the row count: penalises a standardised weight
MIN_SCALE = 0.05  # least usual size of a residual, in standard deviations of its metric
MIN_HOUR_SPREAD = 0.5  # least robust spread of an hour of the day, in standard deviations
RANGE_SHARE = 0.15  # a metric's scale is at least this share of the fleet's range of it
EXPLAINED = 0.8  # share of variance the principal directions hold
MAX_COMPONENTS = 32
REGIMES = 16
FEWEST = 2 * HOURS + REACH  # ticks below which an entity gets no arrays of its own
POOLED_ROWS = 20_000


def fit_detectors(series: dict[str, tuple[F32, F64]], metrics: tuple[str, ...], tick: timedelta, seed: int) -> Detectors:
    """series: entity → (per-tick means f32[T, metrics] on the grid without holes, NaN = not seen; times f64[T], Unix
    seconds), unlabelled rows only. Raises InputError where no entity has FEWEST ticks."""
    enough = {entity: parts for entity, parts in sorted(series.items()) if np.isfinite(parts[0]).any(axis=1).sum() >= FEWEST}
    if not enough:
        most = max((int(np.isfinite(parts[0]).any(axis=1).sum()) for parts in series.values()), default=0)
        raise InputError(f"Detectors need an entity seen at {FEWEST} unlabelled ticks; the most seen has {most}. Give the source more unlabelled time, "
                         "or a view whose tick is no shorter than the source's period.")
    pooled = np.concatenate([parts[0] for parts in enough.values()])
    fleet = _standard(pooled, np.zeros(len(metrics)), np.ones(len(metrics)))
    floor = RANGE_SHARE * _range(pooled)
    own = [_fit_entity([parts], *_standard(parts[0], fleet[0], fleet[1], floor), seed) for parts in enough.values()]
    everybody = _fit_entity(_thinned(list(enough.values())), *_standard(pooled, fleet[0], fleet[1], floor), seed)
    fitted = [*own, everybody]
    arrays = {name: np.stack([arrays[name] for arrays in fitted]).astype(np.float32) for name in everybody}
    return Detectors(metrics, tuple(enough), tick, arrays)


def _range(pooled: F32) -> F64:
    low, high = (np.array([np.quantile(column, q) if len(column) else 0.0 for column in _columns(pooled)]) for q in (0.0005, 0.9995))
    return np.asarray(high - low)


def _columns(values: F32) -> list[F64]:
    return [column[np.isfinite(column)].astype(np.float64) for column in values.T]


def _standard(values: F32, center: F64, scale: F64, floor: F64 | float = 0.0) -> tuple[F64, F64]:
    """Mean and spread a metric, `center` and `scale` where nothing was seen. The floor keeps a metric that usually stands
    still from drowning the others whenever it moves at all."""
    columns = _columns(values)
    centers = np.array([column.mean() if len(column) else center[j] for j, column in enumerate(columns)])
    spreads = np.array([column.std() if len(column) else scale[j] for j, column in enumerate(columns)])
    spreads = np.maximum(spreads, floor)
    return centers, np.where(spreads > 0, spreads, 1.0)


def _thinned(parts: list[tuple[F32, F64]]) -> list[tuple[F32, F64]]:
    """About POOLED_ROWS ticks of the fleet, as stretches of a day at even distances from every entity."""
    total = sum(len(values) for values, _ in parts)
    step = max(1, -(-total // POOLED_ROWS))
    day = 288
    return [(values[i : i + day], times[i : i + day]) for values, times in parts for i in range(0, max(len(values) - REACH, 1), day * step)]


def _fit_entity(parts: list[tuple[F32, F64]], center: F64, scale: F64, seed: int) -> dict[str, F32]:
    """Arrays fitted on the stretches `parts` together."""
    parts = [(values, times) for values, times in parts if len(values) > REACH]
    standardised = [np.clip((values - center) / scale, -CLIP, CLIP).astype(np.float32)[None] for values, _ in parts]
    filled = [np.nan_to_num(z, nan=0.0) for z in standardised]
    arrays: dict[str, F32] = {"center": np.asarray(center, np.float32), "scale": np.asarray(scale, np.float32)}
    for name, steps in (("autoregressive_1", 1), ("autoregressive_12", LAGS)):
        inputs = np.concatenate([windows(z, LAGS)[0, : z.shape[1] - LAGS - steps + 1] for z in filled])
        targets = np.concatenate([z[0, LAGS + steps - 1 :] for z in filled])
        arrays[name], arrays[f"{name}_intercept"] = _ridge(inputs, targets)
    arrays["cross_metric"] = _cross_metric(np.concatenate([z[0] for z in filled]))
    ticks = np.concatenate([z[0] for z in standardised])
    hours = np.concatenate([times for _, times in parts]) // 3600 % HOURS
    arrays["hour_center"], arrays["hour_scale"] = _hours(ticks, hours.astype(np.intp))
    half_hours = np.concatenate([windows(z, WINDOW)[0] for z in filled])
    arrays["components"] = _components(half_hours)
    arrays["centroids"] = _centroids(half_hours, seed)
    return _with_scales(arrays, standardised, [times for _, times in parts])


def _ridge(inputs: F32, targets: F32) -> tuple[F32, F32]:
    mean_in, mean_out = inputs.mean(axis=0, dtype=np.float64), targets.mean(axis=0, dtype=np.float64)
    x, y = (inputs - mean_in).astype(np.float32), (targets - mean_out).astype(np.float32)
    gram = (x.T @ x).astype(np.float64) + RIDGE * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, (x.T @ y).astype(np.float64))
    return weights.astype(np.float32), (mean_out - mean_in @ weights).astype(np.float32)


def _cross_metric(z: F32) -> F32:
    """Matrix whose product with a tick is each metric minus its ridge regression on the others: P / diag(P)."""
    covariance = (z.T.astype(np.float64) @ z) / len(z) + 0.01 * np.eye(z.shape[1])
    precision = np.linalg.inv(covariance)
    return np.asarray(precision / np.diag(precision), dtype=np.float32)


def _hours(ticks: F32, hours: npt.NDArray[np.intp]) -> tuple[F32, F32]:
    """Median and robust spread an hour of the day; an hour never seen takes the whole day's."""
    metrics = ticks.shape[1]
    centers, spreads = np.zeros((HOURS, metrics)), np.ones((HOURS, metrics))
    for j in range(metrics):
        known = np.isfinite(ticks[:, j])
        day = ticks[known, j]
        for hour in range(HOURS):
            values = ticks[known & (hours == hour), j]
            values = values if len(values) else day
            if len(values):
                centers[hour, j] = np.median(values)
                spreads[hour, j] = 1.4826 * np.median(np.abs(values - centers[hour, j]))
    return centers.astype(np.float32), np.maximum(spreads, MIN_HOUR_SPREAD).astype(np.float32)


def _components(half_hours: F32) -> F32:
    """Main directions, [window, MAX_COMPONENTS]; unused ones are zero."""
    found = np.linalg.eigh((half_hours.T @ half_hours).astype(np.float64) / len(half_hours))
    values, vectors = found.eigenvalues[::-1], found.eigenvectors[:, ::-1]
    held = np.cumsum(values) / max(values.sum(), 1e-12)
    count = min(int(np.searchsorted(held, EXPLAINED)) + 1, MAX_COMPONENTS, len(values))
    result = np.zeros((len(values), min(MAX_COMPONENTS, len(values))), np.float32)
    result[:, :count] = vectors[:, :count]
    return result


def _centroids(half_hours: F32, seed: int) -> F32:
    from sklearn.cluster import MiniBatchKMeans

    rows = half_hours[::3]
    count = min(REGIMES, len(rows))
    fitted = MiniBatchKMeans(count, n_init=1, random_state=seed, batch_size=2048).fit(rows).cluster_centers_
    return np.concatenate([fitted, np.repeat(fitted[-1:], REGIMES - count, axis=0)]).astype(np.float32)


def _with_scales(arrays: dict[str, F32], standardised: list[F32], times: list[F64]) -> dict[str, F32]:
    """Add each residual's usual size, then the quantiles of the scores made with them."""
    shapes = array_shapes(arrays["center"].shape[0], arrays["components"].shape[1], REGIMES)
    scales = {"autoregressive_1_scale": 0, "autoregressive_12_scale": 1, "cross_metric_scale": 2, "principal_scale": 4}
    fitted = {name: array[None] for name, array in arrays.items()} | {name: np.ones((1, *shapes[name]), np.float32) for name in scales}
    hours = [(clock[REACH - 1 :] // 3600 % HOURS).astype(np.intp)[None] for clock in times]
    residuals = [detector_residuals(z, hour, fitted) for z, hour in zip(standardised, hours, strict=True)]
    for name, detector in scales.items():
        cells = np.concatenate([np.where(part[detector][1], part[detector][0], np.nan)[0] for part in residuals])
        fitted[name] = np.array([[column.std() + MIN_SCALE if len(column) else 1.0 for column in _columns(cells)]], np.float32)
    del residuals
    raw = np.concatenate([raw_scores(z, hour, fitted)[0] for z, hour in zip(standardised, hours, strict=True)])
    tails = [tail_of(column[np.isfinite(column)]) if np.isfinite(column).any() else (np.zeros(64, np.float32), 1.0) for column in raw.T]
    fitted["quantiles"] = np.stack([quantiles for quantiles, _ in tails])[None]
    fitted["shape"] = np.array([[shape for _, shape in tails]], np.float32)
    return {name: array[0] for name, array in fitted.items()}
