"""Inductive Venn–Abers: from a model's score to a risk and its interval [p0, p1].

For a score s, p0 (p1) is the isotonic regression of the calibration labels together with the pair (s, 0) ((s, 1)),
evaluated at s. Both are step functions of s, so they are computed once, kept as float64 arrays and looked up:

    p1 is constant on (thresholds[i-1], thresholds[i]]  → p1[searchsorted(thresholds, s, "left")]
    p0 is constant on [thresholds[i-1], thresholds[i])  → p0[searchsorted(thresholds, s, "right")]

Source: Vovk, Petej, Fedorova, Large-scale probabilistic predictors with and without guarantees of validity (2015),
algorithms 1–4; the values are slopes of convex minorants of the cumulative sum diagram.
"""

import math
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from presage.arrays import arrays_to_bytes
from presage.errors import ArtifactRefused, InputError
from presage.files import write_bytes

Floats = npt.NDArray[np.float64]
_Point = tuple[float, float]


class VennAbers:
    """thresholds: f64[k] ascending distinct scores; p0, p1: f64[k + 1], not falling, p0 ≤ p1, all within [0, 1]."""

    def __init__(self, thresholds: Floats, p0: Floats, p1: Floats) -> None:
        self.thresholds = thresholds
        self.p0 = p0
        self.p1 = p1
        # plain lists: bisect over them answers one score in well under a microsecond, numpy needs several
        self._thresholds: list[float] = thresholds.tolist()
        self._p0: list[float] = p0.tolist()
        self._p1: list[float] = p1.tolist()

    @classmethod
    def fit(cls, scores: npt.ArrayLike, labels: npt.ArrayLike) -> "VennAbers":
        """scores: f[n] of the calibration rows; labels: 0 or 1 [n]. O(n log n).

        Raises InputError where there is no row, a score is not finite or a label is neither 0 nor 1.
        """
        s = np.asarray(scores, dtype=np.float64).ravel()
        y = np.asarray(labels, dtype=np.float64).ravel()
        if not len(s):
            raise InputError("calibration has no row to learn from. Give the split's calibration part more time.")
        if len(s) != len(y):
            raise InputError(f"calibration got {len(s)} scores and {len(y)} labels. Give one label a score.")
        if not np.isfinite(s).all():
            raise InputError(f"calibration got {int((~np.isfinite(s)).sum())} scores that are not finite. Train the model again.")
        if not np.isin(y, (0.0, 1.0)).all():
            raise InputError("calibration got labels other than 0 and 1. Drop unlabelled rows first.")
        thresholds, group = np.unique(s, return_inverse=True)
        weights = np.bincount(group).astype(np.float64)
        positives = np.bincount(group, weights=y).astype(np.float64)
        p1 = _slopes(weights, positives)
        # p0 is p1 of the mirrored problem: scores and labels both turned round
        negatives: Floats = weights - positives
        p0 = 1.0 - _slopes(weights[::-1], negatives[::-1])[::-1]
        return cls(thresholds, np.concatenate([[0.0], p0]), np.concatenate([p1, [1.0]]))

    def apply(self, scores: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        """(risk, p0, p1), each f64[n]; risk = p1 / (1 − p0 + p1). A score that is NaN gives NaN in all three."""
        s = np.asarray(scores, dtype=np.float64).ravel()
        p0 = self.p0[np.searchsorted(self.thresholds, s, "right")]
        p1 = self.p1[np.searchsorted(self.thresholds, s, "left")]
        missing = np.isnan(s)
        if missing.any():
            p0, p1 = np.where(missing, np.nan, p0), np.where(missing, np.nan, p1)
        return p1 / (1.0 - p0 + p1), p0, p1

    def one(self, score: float) -> tuple[float, float, float]:
        """(risk, p0, p1) of one score: equal to `apply`, without arrays."""
        if math.isnan(score):
            return score, score, score
        p0 = self._p0[bisect_right(self._thresholds, score)]
        p1 = self._p1[bisect_left(self._thresholds, score)]
        return p1 / (1.0 - p0 + p1), p0, p1

    def to_bytes(self) -> bytes:
        """Safetensors of the three arrays; the same fit gives the same bytes."""
        return arrays_to_bytes({"thresholds": self.thresholds, "p0": self.p0, "p1": self.p1})

    def save(self, path: Path) -> None:
        write_bytes(path, self.to_bytes())

    @classmethod
    def load(cls, content: bytes) -> "VennAbers":
        """Read and check; raises ArtifactRefused("format") naming what is wrong."""
        try:
            arrays: dict[str, Any] = safetensors.numpy.load(content)
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise ArtifactRefused("format", f"calibration.safetensors cannot be read: {error}. Package the model again.") from error
        if arrays.keys() != {"thresholds", "p0", "p1"}:
            raise _refused(f"holds the arrays {', '.join(sorted(arrays)) or 'none'}, not thresholds, p0, p1")
        if any(array.dtype != np.float64 or array.ndim != 1 or not np.isfinite(array).all() for array in arrays.values()):
            raise _refused("holds an array that is not a finite float64 vector")
        thresholds, p0, p1 = arrays["thresholds"], arrays["p0"], arrays["p1"]
        if not len(p0) == len(p1) == len(thresholds) + 1 or not len(thresholds):
            raise _refused(f"holds {len(thresholds)} thresholds, {len(p0)} p0 and {len(p1)} p1: steps are one more than thresholds")
        if (np.diff(thresholds) <= 0).any() or (np.diff(p0) < 0).any() or (np.diff(p1) < 0).any():
            raise _refused("holds a step function that falls")
        if p0[0] < 0 or p1[-1] > 1 or (p0[:-1] > p1[:-1]).any() or (p0[1:] > p1[1:]).any() or (p0[1:] > p1[:-1]).any():
            raise _refused("holds an interval outside 0 ≤ p0 ≤ p1 ≤ 1")
        return cls(thresholds, p0, p1)


def _refused(what: str) -> ArtifactRefused:
    return ArtifactRefused("format", f"calibration.safetensors {what}. Package the model again.")


def _slopes(weights: Floats, positives: Floats) -> Floats:
    """p1 at each distinct score: the isotonic value there once one positive is added to it. f64[k] → f64[k].

    Adding a positive at place i lifts all later points of the diagram by (1, 1), which is the same as moving the first
    i points by (−1, −1). So one pass from left to right suffices: the convex minorant's corners wait on a stack, its
    first edge is the value at this place, and moving one more point mends the stack's top.
    """
    xs: list[float] = [-1.0, 0.0, *np.cumsum(weights).tolist()]
    ys: list[float] = [-1.0, 0.0, *np.cumsum(positives).tolist()]
    places = len(weights)
    corners: list[_Point] = []
    for point in zip(xs, ys, strict=True):
        _append(corners, point)
    stack = corners[::-1]
    slopes = np.empty(places)
    for place in range(places):
        (x0, y0), (x1, y1) = stack[-1], stack[-2]
        slopes[place] = (y1 - y0) / (x1 - x0)
        if place + 1 == places:
            break
        added = (xs[place + 2] - 1.0, ys[place + 2] - 1.0)
        if _cross((x0, y0), (x1, y1), added) >= 0:
            continue
        stack.pop()
        while len(stack) > 1 and _cross(added, stack[-1], stack[-2]) <= 0:
            stack.pop()
        stack.append(added)
    return np.maximum.accumulate(slopes)


def _append(corners: list[_Point], point: _Point) -> None:
    """Keep `corners` the convex minorant of all points so far."""
    while len(corners) > 1 and _cross(corners[-2], corners[-1], point) <= 0:
        corners.pop()
    corners.append(point)


def _cross(a: _Point, b: _Point, c: _Point) -> float:
    """Positive where a → b → c turns left; exact, as weights and positives are whole numbers below 2^53."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
