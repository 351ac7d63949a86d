"""Random forest over imputed inputs, grown ten trees at a time until it is whole or its seconds are spent.

As in LightGBM, risk may be held to rise with every detector's score; the forward chain says whether it should be.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.arrays import from_forest
from components.train.budget import Budget
from components.train.candidates import Candidate, choose, input_sets
from components.train.fitted import Fitted
from components.train.graph import tree_graph
from components.train.logistic_regression import medians
from components.train.rows import F32, Rows

TREES, CHAIN_TREES, BATCH = 100, 20, 10
LEAF = 50
KINDS = {"detectors": ("rising", "free"), "all": ("rising",)}
DRAWN_ROWS = 6000  # rows a tree is grown on: trees differ more, and cost the same however long the history


def fit(rows: Rows, budget: Budget, seed: int, threads: int) -> Fitted:
    """rows: of part train."""
    rises = np.zeros(len(rows.inputs), np.int8)
    rises[len(rises) - rows.detectors :] = 1
    candidates = [
        Candidate(f"{name}, {kind}", columns, {"rising": (rises[columns] if kind == "rising" else 0 * rises[columns]).tolist()})
        for name, columns in input_sets(rows).items() for kind in KINDS[name]
    ]  # fmt: skip

    def stages(candidate: Candidate, x: F32, y: npt.NDArray[np.int8], later: F32) -> dict[int, npt.NDArray[np.float64]]:
        return {CHAIN_TREES: _Model(candidate, x, y, CHAIN_TREES, budget=budget, seed=seed, threads=threads).predict(later)}

    choice = choose(candidates, rows, stages, budget)
    columns = choice.candidate.columns
    model = _Model(choice.candidate, rows.x[:, columns], rows.labels, TREES, budget=budget, seed=seed, threads=threads)
    impute = np.zeros(len(rows.inputs), np.float32)
    impute[columns] = model.impute
    trees = from_forest(model.forest, columns, impute)
    parameters = {"inputs": choice.candidate.name, "rising_inputs": sum(choice.candidate.settings["rising"]),
                  "trees": len(trees.root), "min_samples_leaf": model.forest.min_samples_leaf, "rows_a_tree": model.drawn,
                  "max_features": "sqrt", "forward_chain": choice.table}  # fmt: skip
    return Fitted(tree_graph(trees, len(rows.inputs)), lambda x: model.predict(x[:, columns]), parameters, trees)


class _Model:
    """One forest; stops between batches of trees when the next one would not fit into the budget."""

    def __init__(self, candidate: Candidate, x: F32, y: npt.NDArray[np.int8], trees: int, *, budget: Budget, seed: int, threads: int) -> None:
        from sklearn.ensemble import RandomForestClassifier

        self.impute = medians(x)
        known = np.where(np.isnan(x), self.impute, x)
        self.drawn = min(DRAWN_ROWS, len(y))
        self.forest: Any = RandomForestClassifier(
            n_estimators=0, warm_start=True, min_samples_leaf=min(LEAF, max(1, len(y) // 100)), max_features="sqrt",
            monotonic_cst=candidate.settings["rising"], max_samples=self.drawn, random_state=seed, n_jobs=threads,
        )  # fmt: skip
        while self.forest.n_estimators < trees:
            before = budget.clock()
            self.forest.n_estimators += min(BATCH, trees - self.forest.n_estimators)
            self.forest.fit(known, y)
            if self.forest.n_estimators < trees and budget.runs_out(before=budget.clock() - before):
                break

    def predict(self, x: F32) -> npt.NDArray[np.float64]:
        return np.asarray(self.forest.predict_proba(np.where(np.isnan(x), self.impute, x))[:, 1], dtype=np.float64)
