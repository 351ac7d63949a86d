"""Mergeable moments: what a stretch of samples leaves behind, and how two neighbouring stretches become one.

A stretch is summed up by its count, the means of time and value, their centred second moments, its extremes and its first
and last sample. Two stretches merge exactly (Chan, Golub and LeVeque's formulas), so a window is a merge of bins, a bin a
merge of samples, and nothing is ever subtracted: a value of 1e10 with a spread of 1e-3 keeps its spread.

Merging is associative in exact arithmetic but not in floating point. Therefore each merge tree here has a fixed shape that
depends on a window's own samples alone, never on what lies before it: computing over the last hours and over all history
gives the same bits.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """Ten equal-shaped float64 arrays; the last axis is time (samples, bins or ticks).

    n: samples seen. mean_t: mean sample time, in seconds before or after the stretch's own origin. mean, m_tt, m_tx, m_xx: mean
    value and centred second moments (sums of products, not averages). low, high, first, last: of the values.
    An empty stretch has n = 0, low = +inf, high = -inf and zeros elsewhere.
    """

    n: Array
    mean_t: Array
    mean: Array
    m_tt: Array
    m_tx: Array
    m_xx: Array
    low: Array
    high: Array
    first: Array
    last: Array

    def __getitem__(self, key: slice | Index) -> "Moments":
        """The same stretches along the last axis."""
        return Moments(*(getattr(self, field.name)[..., key] for field in fields(self)))


def empty(shape: tuple[int, ...]) -> Moments:
    """Stretches without a sample: the neutral element of `merge`."""
    return Moments(*(np.full(shape, np.inf if field.name == "low" else -np.inf if field.name == "high" else 0.0) for field in fields(Moments)))


def of_samples(values: Array, times: Array) -> Moments:
    """One stretch a sample. values [..., samples], NaN = not seen; times [samples] in seconds from the stretch's origin."""
    seen = ~np.isnan(values)
    value, zero = np.where(seen, values, 0.0), np.zeros(values.shape)
    return Moments(
        n=seen.astype(np.float64),
        mean_t=np.where(seen, times, 0.0),
        mean=value,
        m_tt=zero,
        m_tx=zero,
        m_xx=zero,
        low=np.where(seen, values, np.inf),
        high=np.where(seen, values, -np.inf),
        first=value,
        last=value,
    )


def merge(earlier: Moments, later: Moments, gap: float) -> Moments:
    """Two neighbouring stretches as one, whose origin is the later one's. gap: seconds from the earlier origin to the later."""
    n = earlier.n + later.n
    share = later.n / np.maximum(n, 1.0)
    cross = earlier.n * share
    some_earlier = earlier.n > 0
    earlier_t = np.where(some_earlier, earlier.mean_t - gap, 0.0)
    step_t, step = later.mean_t - earlier_t, later.mean - earlier.mean
    weighted_t = step_t * cross
    return Moments(
        n=n,
        mean_t=earlier_t + step_t * share,
        mean=earlier.mean + step * share,
        m_tt=earlier.m_tt + later.m_tt + step_t * weighted_t,
        m_tx=earlier.m_tx + later.m_tx + step * weighted_t,
        m_xx=earlier.m_xx + later.m_xx + step * step * cross,
        low=np.minimum(earlier.low, later.low),
        high=np.maximum(earlier.high, later.high),
        first=np.where(some_earlier, earlier.first, later.first),
        last=np.where(later.n > 0, later.last, earlier.last),
    )


def fold(samples: Moments, counts: Index) -> Moments:
    """Merge runs of samples into one stretch each: [..., samples] → [..., runs].

    counts: how many consecutive samples each run has (at least 1). Neighbours merge pairwise by their rank in the run, level
    by level: cost is linear in samples, depth logarithmic in the longest run.
    """
    while counts.size and counts.max() > 1:
        starts = np.cumsum(counts) - counts
        halves = (counts + 1) // 2
        rank = np.arange(halves.sum()) - np.repeat(np.cumsum(halves) - halves, halves)
        left = np.repeat(starts, halves) + 2 * rank
        alone = 2 * rank + 1 >= np.repeat(counts, halves)
        right = samples[np.where(alone, left, left + 1)]
        if alone.any():
            paired, nothing = ~alone, empty((1,))
            right = Moments(*(np.where(paired, getattr(right, field.name), getattr(nothing, field.name)) for field in fields(right)))
        samples, counts = merge(samples[left], right, 0.0), halves
    return samples


def trailing(bins: Moments, widths: Iterable[int], tick: float) -> dict[int, Moments]:
    """Windows of several widths ending at each tick: bins [..., ticks] → {width: [..., ticks − widest + 1]}.

    Element j of every result ends at tick j + widest − 1. Blocks of 1, 2, 4, 8 … ticks grow by doubling; a window is the
    merge of the blocks that its width's binary digits name, the smallest of them latest. tick: seconds between bins.
    """
    wanted = set(widths)
    widest, ticks = max(wanted), bins.n.shape[-1]
    found: dict[int, Moments] = {}
    partial: dict[int, tuple[int, Moments]] = {}  # width -> (latest ticks merged so far, their windows)
    block, size = bins, 1  # block[j] ends at tick j + size - 1
    while size <= widest:
        for width in [width for width in wanted if width & size]:
            if width in partial:
                done, latest = partial[width]
                done, latest = done + size, merge(block[: ticks - done - size + 1], latest[size:], done * tick)
            else:
                done, latest = size, block
            partial[width] = (done, latest)
            if done == width:
                found[width] = latest[widest - width :]
        if 2 * size <= widest:
            block = merge(block[:-size], block[size:], size * tick)
        size *= 2
    return found
