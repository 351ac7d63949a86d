"""What the report draws: precision over recall, and observed frequency over stated risk."""

from typing import Any

import numpy as np
import numpy.typing as npt

POINTS = 200
DECILES = 10
F64 = npt.NDArray[np.float64]


def precision_recall(name: str, labels: npt.NDArray[np.integer], scores: F64) -> dict[str, Any]:
    """{name, recall, precision}, recall ascending, at most POINTS points of the whole curve."""
    order = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order] == 1)
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    precision, recall = hits[ends] / (ends + 1), hits[ends] / max(int(hits[-1]), 1)
    keep = np.unique(np.searchsorted(recall, np.linspace(0, 1, POINTS)).clip(max=len(ends) - 1))
    return {"name": name, "recall": recall[keep].round(5).tolist(), "precision": precision[keep].round(5).tolist()}


def decile_of(risk: F64) -> npt.NDArray[np.intp]:
    """Each row's tenth by risk, 0 … 9; rows of equal risk stay together, so that tenths may be empty or uneven."""
    edges = np.quantile(risk, np.linspace(0, 1, DECILES + 1)[1:-1])
    return np.searchsorted(edges, risk, side="left").astype(np.intp)


def calibration_deciles(risk: F64, p0: F64, p1: F64, labels: npt.NDArray[np.integer], clusters: npt.NDArray[np.integer]) -> list[dict[str, Any]]:
    """{risk, observed, p0, p1, rows, clusters} a decile that holds rows: means, share of positive rows, row count, number of
    incident clusters (clusters int[n], negative = none) among its positive rows."""
    decile = decile_of(risk)
    result = []
    for place in np.unique(decile):
        mine = decile == place
        result.append({
            "decile": int(place) + 1,
            "risk": float(risk[mine].mean()),
            "observed": float((labels[mine] == 1).mean()),
            "p0": float(p0[mine].mean()),
            "p1": float(p1[mine].mean()),
            "rows": int(mine.sum()),
            "clusters": len(np.unique(clusters[mine & (clusters >= 0)])),
        })  # fmt: skip
    return result
