"""Average precision and its interval by bootstrap over incident clusters.

Rows of one incident say almost the same thing, and one outage hits several servers at once; so neither rows nor servers are
drawn but stretches of time, all servers together. The scored time is cut midway between one cluster's end and the next
one's start, which gives stretches with one cluster and its quiet surroundings each; a positive row goes with its cluster even where it
lies beyond the cut. Stretches are drawn with replacement, as many as there are; an interval is the middle 95 % of the
resampled values, a paired one the middle 95 % of differences on the same draws. With a dozen clusters such intervals are
wide, and rather too narrow than too wide.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluate.timeline import Timeline

DRAWS = 1000
LEVEL = 0.95
_CHUNK = 50
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Blocks:
    """block int[n]: each row's stretch, 0 … count − 1. weights f64[draws, count]: how often each draw holds each stretch; the
    same for every score, so that differences are paired."""

    block: npt.NDArray[np.intp]
    weights: F64

    @property
    def count(self) -> int:
        return int(self.weights.shape[1])


def cluster_blocks(timeline: Timeline, seed: int, draws: int = DRAWS) -> Blocks:
    """Stretches of `timeline`, one for each cluster that has a positive row in it."""
    present = np.unique(timeline.cluster[timeline.cluster >= 0])
    if not len(present):
        return Blocks(np.zeros(len(timeline.time), np.intp), np.ones((draws, 1)))
    spans = sorted(
        (float(timeline.time[timeline.cluster == cluster].min()), float(timeline.time[timeline.cluster == cluster].max()), int(cluster)) for cluster in present
    )
    ends = np.maximum.accumulate([span[1] for span in spans])
    cuts = np.array([(ends[i] + spans[i + 1][0]) / 2 for i in range(len(spans) - 1)])
    block = np.searchsorted(cuts, timeline.time).astype(np.intp) if len(cuts) else np.zeros(len(timeline.time), np.intp)
    for place, (_, _, cluster) in enumerate(spans):
        block[timeline.cluster == cluster] = place
    drawn = np.random.default_rng(seed).multinomial(len(spans), np.full(len(spans), 1 / len(spans)), size=draws)
    return Blocks(block, drawn.astype(np.float64))


@dataclass(frozen=True)
class Ranked:
    """A score's rows from highest to lowest, ready to be weighed: order int[n], ends: the last place of each run of equal scores."""

    order: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]
    positive: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, labels: npt.NDArray[np.integer], scores: F64) -> "Ranked":
        """A score that is NaN ranks lowest."""
        known = np.where(np.isnan(scores), -np.inf, scores)
        order = np.argsort(-known, kind="stable")
        ranked = known[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, np.intp)
        return cls(order, ends, labels[order] == 1)

    def average_precision(self, weights: F64 | None = None) -> F64:
        """weights f64[draws, n] in row order (None: all one) → f64[draws]: Σ (recall step · precision), as scikit-learn
        defines it; NaN where a draw has no positive row."""
        if weights is None:
            weights = np.ones((1, len(self.order)))
        drawn = weights[:, self.order]
        taken = np.cumsum(drawn, axis=1)[:, self.ends]
        hits = np.cumsum(drawn * self.positive, axis=1)[:, self.ends]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(taken > 0, hits / taken, 0.0)
            steps = np.diff(hits, axis=1, prepend=0.0)
            return np.asarray((steps * precision).sum(axis=1) / hits[:, -1]) if hits.shape[1] else np.full(len(weights), np.nan)


def average_precision(labels: npt.NDArray[np.integer], scores: F64) -> float | None:
    """None where there is no positive row."""
    return float(Ranked.of(labels, scores).average_precision()[0]) if (labels == 1).any() else None


def resampled_precision(labels: npt.NDArray[np.integer], scores: F64, blocks: Blocks) -> F64:
    """Average precision of every draw, f64[draws]."""
    ranked = Ranked.of(labels, scores)
    parts = [ranked.average_precision(blocks.weights[i : i + _CHUNK][:, blocks.block]) for i in range(0, len(blocks.weights), _CHUNK)]
    return np.concatenate(parts)


def interval(values: F64) -> list[float] | None:
    """The middle LEVEL of the finite values, or None where there is none."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]
