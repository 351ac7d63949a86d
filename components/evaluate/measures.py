"""Everything that is said of one score, model or baseline alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.alarms import RATES, carried_threshold, detect_events
from components.evaluate.resampling import Blocks, average_precision, interval, resampled_precision
from components.evaluate.timeline import Timeline
from presage.package.calibration import VennAbers

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """The timelines a score is judged on: `select` (choice), `chosen` (select and calibrate: thresholds), `calibrate`, `test`;
    blocks of test."""

    select: Timeline
    calibrate: Timeline
    chosen: Timeline
    test: Timeline
    blocks: Blocks


@dataclass(frozen=True)
class Scores:
    """One score on the rows of each timeline of `Parts`."""

    name: str
    select: F64
    calibrate: F64
    chosen: F64
    test: F64


@dataclass(frozen=True)
class Judged:
    """document: the entry of evaluation.json. draws f64[draws]: resampled average precision. risk, p0, p1 f64[test rows]."""

    document: dict[str, Any]
    draws: F64
    calibration: VennAbers
    risk: F64
    p0: F64
    p1: F64
    thresholds: dict[str, float]


def judge(scores: Scores, parts: Parts) -> Judged:
    """All measures of one score; average precision and ROC AUC of the score, Brier of its calibrated risk."""
    from sklearn.metrics import roc_auc_score

    test = parts.test
    known = np.nan_to_num(scores.test, nan=float(np.nanmin(scores.test, initial=0.0)))
    calibration = VennAbers.fit(np.nan_to_num(scores.calibrate), parts.calibrate.label)
    risk, p0, p1 = calibration.apply(np.nan_to_num(scores.test))
    thresholds = {name: carried_threshold(parts.chosen, scores.chosen, rate) for name, rate in RATES.items()}
    detections = {name: detect_events(test, scores.test, threshold) for name, threshold in thresholds.items()}
    draws = resampled_precision(test.label, scores.test, parts.blocks)

    def share(found: npt.NDArray[np.bool_]) -> float | None:
        return float(found.mean()) if len(found) else None

    document = {
        "name": scores.name,
        "average_precision": average_precision(test.label, scores.test),
        "average_precision_interval": interval(draws),
        "roc_auc": float(roc_auc_score(test.label, known)) if 0 < test.label.sum() < len(test.label) else None,
        "brier": float(np.mean((risk - test.label) ** 2)),
        "select_average_precision": average_precision(parts.select.label, scores.select),
        "events": len(test.events()),
        "events_detected": {name: share(found.detected) for name, found in detections.items()},
        "events_detected_early": {name: share(found.early) for name, found in detections.items()},
        "false_alarms_per_server_day": {name: found.false_alarms for name, found in detections.items()},
        "median_lead_minutes": detections["1"].median_lead,
        "thresholds": {name: _finite(threshold) for name, threshold in thresholds.items()},
        "per_server": _per_server(test, scores.test, detections["1"].detected),
    }
    return Judged(document, draws, calibration, risk, p0, p1, thresholds)


def strict_measures(scores: Scores, parts: Parts, judged: Judged) -> dict[str, Any]:
    """Look-ahead alone: rows already inside an incident are left out of precision; early alarms are those before the start."""
    test = parts.test
    ahead = ~test.active
    return {
        "name": scores.name,
        "average_precision": average_precision(test.label[ahead], scores.test[ahead]),
        "prevalence": float(test.label[ahead].mean()) if ahead.any() else None,
        "rows": int(ahead.sum()),
        "events_detected_early": judged.document["events_detected_early"],
    }


def _per_server(test: Timeline, scores: F64, detected: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    events = test.events()
    owners = test.incidents.entity[events]
    result = []
    for number, name in enumerate(test.entities):
        mine = test.entity == number
        if not mine.any():
            continue
        result.append({
            "server": name,
            "rows": int(mine.sum()),
            "prevalence": float(test.label[mine].mean()),
            "average_precision": average_precision(test.label[mine], scores[mine]),
            "events": int((owners == number).sum()),
            "detected": int(detected[owners == number].sum()),
        })  # fmt: skip
    return result


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
