"""Point-adjusted F1, which papers print, beside what shows how little it says: point F1, and both for random scores.

Here the question is detection: is an incident active at the tick. Point adjustment counts a whole incident as found once
one of its ticks is flagged, so that a random score does well. Thresholds are carried forward: each measure's own best one
on earlier rows is used on the test rows.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.timeline import Timeline

RANDOM_SCORES = 10
TRIED = 100
F64 = npt.NDArray[np.float64]


def point_adjusted(earlier: Timeline, earlier_scores: F64, later: Timeline, later_scores: F64, seed: int) -> dict[str, Any]:
    """{f1, point_f1, random_f1, random_point_f1}: adjusted and plain, of the score and (means) of random scores."""
    random = np.random.default_rng(seed)
    drawn = [(random.random(len(earlier.time)), random.random(len(later.time))) for _ in range(RANDOM_SCORES)]
    result: dict[str, Any] = {}
    for name, adjust in (("f1", True), ("point_f1", False)):
        result[name] = _carried(earlier, earlier_scores, later, later_scores, adjust)
        result[f"random_{name}"] = float(np.mean([_carried(earlier, before, later, after, adjust) for before, after in drawn]))
    return result


def f1_score(timeline: Timeline, flagged: npt.NDArray[np.bool_], adjust: bool) -> float:
    """F1 of flagged ticks against active ones; with `adjust`, a run of active ticks counts whole once one is flagged."""
    active = timeline.active
    if adjust:
        flagged = flagged | _touched(_runs(timeline), flagged)
    hits = float((flagged & active).sum())
    total = float(flagged.sum() + active.sum())
    return 2 * hits / total if total else 0.0


def _carried(earlier: Timeline, before: F64, later: Timeline, after: F64, adjust: bool) -> float:
    known = np.unique(before[np.isfinite(before)])
    if not len(known):
        return 0.0
    thresholds = known[len(known) - np.unique(np.geomspace(1, len(known), min(TRIED, len(known))).round().astype(int))]
    best = max(thresholds, key=lambda threshold: f1_score(earlier, before >= threshold, adjust))
    return f1_score(later, after >= best, adjust)


def _runs(timeline: Timeline) -> npt.NDArray[np.intp]:
    """Number of each active row's incident run, −1 elsewhere."""
    starts = timeline.active & (~np.concatenate([[False], timeline.active[:-1]]) | timeline.begins)
    return np.where(timeline.active, np.cumsum(starts) - 1, -1)


def _touched(runs: npt.NDArray[np.intp], flagged: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.isin(runs, np.unique(runs[flagged & (runs >= 0)])) & (runs >= 0)
