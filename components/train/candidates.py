"""Which inputs and settings a family takes: a forward chain over blocks of train, later rows never judged by themselves.

The blocks are `fold` of folds.parquet, with the split's own room between them. A candidate is fitted on all blocks before
block k and scores block k; its out-of-block scores together give one average precision. Nothing outside train is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.train.budget import Budget
from components.train.rows import F32, Rows

CHAIN_SHARE = 0.5
"""Of the budget: the rest is for the fit that counts."""


@dataclass(frozen=True)
class Candidate:
    """columns: the inputs it reads, int[k], ascending. settings: what the family's fit understands."""

    name: str
    columns: npt.NDArray[np.intp]
    settings: dict[str, Any] = field(default_factory=dict)


class Stages(Protocol):
    """Fits one candidate and gives scores at several lengths of training: {stage: f64[rows of x_later]}."""

    def __call__(self, candidate: Candidate, x: F32, y: npt.NDArray[np.int8], later: F32) -> dict[int, npt.NDArray[np.float64]]: ...


@dataclass(frozen=True)
class Choice:
    candidate: Candidate
    stage: int
    """How long to train (trees, rounds, iterations): the stage that scored best, 0 where the family has none."""
    table: list[dict[str, Any]]
    """Every candidate tried, {candidate, stage, average_precision}, for training.json."""


def input_sets(rows: Rows) -> dict[str, npt.NDArray[np.intp]]:
    """The two sets of inputs every family weighs: detector scores alone, which travel well from one week to the next, and
    all inputs, which know more where history repeats itself."""
    every = np.arange(len(rows.inputs))
    return {"detectors": every[len(every) - rows.detectors :], "all": every} if rows.detectors else {"all": every}


def choose(candidates: Sequence[Candidate], rows: Rows, fit: Stages, budget: Budget, default: int = 0) -> Choice:
    """The candidate and stage of best out-of-block average precision; the first candidate where train has no two blocks with
    both classes, or before any was judged when the budget ran out."""
    folds, labels, real = rows.folds, rows.labels, ~rows.copies
    blocks = [block for block in range(1, int(folds.max()) + 1) if _both(labels[(folds >= 0) & (folds < block)]) and (real & (folds == block)).any()]
    if not blocks or not _both(labels[real & np.isin(folds, blocks)]):
        return Choice(candidates[0], default, [])
    table: list[dict[str, Any]] = []
    best: tuple[float, Candidate, int] | None = None
    for candidate in candidates:
        if best is not None and budget.runs_out(CHAIN_SHARE):
            break
        stages: dict[int, list[npt.NDArray[np.float64]]] = {}
        truth = []
        for block in blocks:
            earlier, later = (folds >= 0) & (folds < block), real & (folds == block)
            scores = fit(candidate, rows.x[earlier][:, candidate.columns], labels[earlier], rows.x[later][:, candidate.columns])
            truth.append(labels[later])
            for stage, score in scores.items():
                stages.setdefault(stage, []).append(score)
        for stage, parts in stages.items():
            if len(parts) < len(blocks):
                continue
            precision = average_precision(np.concatenate(truth), np.concatenate(parts))
            table.append({"candidate": candidate.name, "stage": stage, "average_precision": round(precision, 4)})
            if best is None or precision > best[0]:
                best = (precision, candidate, stage)
    if best is None:
        return Choice(candidates[0], default, table)
    return Choice(best[1], best[2], table)


def _both(labels: npt.NDArray[np.int8]) -> bool:
    return bool(len(labels)) and 0 < int(labels.sum()) < len(labels)


def average_precision(labels: npt.NDArray[np.int8], scores: npt.NDArray[np.float64]) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))
