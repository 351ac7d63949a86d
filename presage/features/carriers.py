"""Which metric carries a detector score: a score is over all metrics, and whoever is called at night asks which one.

A score at a tick is a mean of residuals, each of one metric, so it falls into metrics exactly (`Detectors.deviations`). A
feature over several ticks does so tick by tick: `last` and `max` are of one tick, a mean weighs its ticks by how surprising
each was, and the ensemble weighs the six detectors likewise.

    shares = metric_shares(detectors, history, entities, times)   # f32[n, len(detectors.names), metrics]
    carrier(shares[0, 3], detectors.metrics)                      # "system.memory.utilization", or None where none stands out
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from presage.features.detectors import AGGREGATES, F32, Detectors

STANDS_OUT = 2.0
"""A metric carries a score only with this many times its equal part of it, or with half of it: else the score is of many."""
_CHUNK = 64  # rows computed at once


def metric_shares(detectors: Detectors, history: npt.NDArray[np.floating], entities: Sequence[str], times: npt.ArrayLike) -> F32:
    """Takes what `Detectors.features` takes → f32[n, len(names), metrics]: each metric's part of each feature, ≥ 0 with sum 1;
    NaN where the feature is, or where nothing deviates. Raises InputError where shapes do not fit."""
    x, ends = np.asarray(history), np.asarray(times, dtype=np.float64).reshape(-1)
    shares = np.empty((len(x), len(detectors.names), len(detectors.metrics)), np.float32)
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        shares[part] = _shares(*detectors.deviations(x[part], entities[part], ends[part]))
    return shares


def carrier(share: F32, metrics: Sequence[str]) -> str | None:
    """The metric that carries most of a feature; None where the share is unknown or no metric stands out."""
    if not np.isfinite(share).all():
        return None
    most = int(share.argmax())
    return metrics[most] if share[most] >= min(STANDS_OUT / len(metrics), 0.5) else None


def _shares(surprise: F32, share: F32) -> F32:
    """surprise f32[n, T, D], share f32[n, T, D, M] → f32[n, (D + 1) · aggregates, M], in the order of `Detectors.names`."""
    seen = np.isfinite(surprise)
    known = np.where(seen, surprise, np.float32(0))
    count = np.maximum(seen.sum(axis=2, keepdims=True), 1).astype(np.float32)
    carried = known[..., None] * share
    score = np.concatenate([np.where(seen, surprise, -np.inf), np.where(seen.any(axis=2), known.sum(axis=2) / count[..., 0], -np.inf)[..., None]], axis=2)
    carried = np.concatenate([carried, (carried.sum(axis=2) / count)[:, :, None]], axis=2)
    columns = [_over_ticks(kind, score[:, -ticks:], carried[:, -ticks:]) for kind, ticks in AGGREGATES]
    total = np.stack(columns, axis=2).reshape(len(surprise), -1, share.shape[3])
    whole = total.sum(axis=2, keepdims=True)
    result: F32 = np.divide(total, whole, out=np.full_like(total, np.nan), where=whole > 0)
    return result


def _over_ticks(kind: str, score: npt.NDArray[np.floating], carried: F32) -> F32:
    """score [n, ticks, D + 1] (−inf = none), carried [n, ticks, D + 1, M] → what each metric adds to the feature, f32[n, D + 1, M]."""
    if kind != "max":
        added: F32 = carried.sum(axis=1)
        return added
    top = score.argmax(axis=1)
    result: F32 = np.take_along_axis(carried, top[:, None, :, None], axis=1)[:, 0]
    return result
