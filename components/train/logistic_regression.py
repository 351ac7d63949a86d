"""Logistic regression over imputed, standardised, clipped inputs: the simplest family, and every release's simpler member."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.budget import Budget
from components.train.candidates import Candidate, choose, input_sets
from components.train.fitted import Fitted
from components.train.graph import Linear, linear_graph
from components.train.rows import F32, Rows

CLIP = 10.0
STRENGTHS = {"detectors": (2.0, 20.0, 200.0), "all": (0.5, 2.0, 20.0)}
"""C · rows of the L2 penalty, tried for each set of inputs: the same number means the same prior at any number of rows."""
ITERATIONS, MOST_ITERATIONS = 25, 200


def fit(rows: Rows, budget: Budget, seed: int, threads: int) -> Fitted:
    """rows: of part train. Deterministic; the seed is not needed."""
    del seed
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    candidates = [Candidate(f"{name}, strength {strength:g}", columns, {"strength": strength})
                  for name, columns in input_sets(rows).items() for strength in STRENGTHS[name]]  # fmt: skip
    with threadpool_limits(threads):
        choice = choose(candidates, rows, lambda candidate, x, y, later: {0: _Model(candidate, x, y, budget).predict(later)}, budget)
        columns = choice.candidate.columns
        model = _Model(choice.candidate, rows.x[:, columns], rows.labels, budget)
    linear = Linear(columns, model.impute, model.center, model.scale, CLIP, model.weights, model.intercept)
    graph = linear_graph(linear, len(rows.inputs))
    parameters = {**choice.candidate.settings, "inputs": choice.candidate.name, "iterations": model.iterations, "forward_chain": choice.table,
                  "columns": [rows.inputs[column] for column in columns], "weights": [round(float(weight), 6) for weight in model.weights]}  # fmt: skip
    return Fitted(graph, lambda x: model.predict(x[:, columns]), parameters)


class _Model:
    """One fit; numbers are scikit-learn's, the preprocessing is four arrays."""

    def __init__(self, candidate: Candidate, x: F32, y: npt.NDArray[np.int8], budget: Budget) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        self.impute = medians(x)
        known = np.where(np.isnan(x), self.impute, x)
        self.center = known.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = known.std(axis=0, dtype=np.float64).astype(np.float32)
        self.scale = np.where(spread > 1e-6 * np.maximum(np.abs(self.center), 1e-6), spread, np.float32(1))
        standard = self._standard(x)
        self.library: Any = LogisticRegression(C=candidate.settings["strength"] / len(y), max_iter=ITERATIONS, warm_start=True)
        self.iterations = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it goes on below, or says that the budget bound
            while True:
                self.library.fit(standard, y)
                done = int(self.library.n_iter_[0])
                self.iterations += done
                if done < ITERATIONS or self.iterations >= MOST_ITERATIONS or budget.runs_out():
                    break
        self.weights = self.library.coef_[0].astype(np.float32)
        self.intercept = float(self.library.intercept_[0])

    def _standard(self, x: F32) -> F32:
        known = np.where(np.isnan(x), self.impute, x)
        standard: F32 = np.clip((known - self.center) / self.scale, -CLIP, CLIP).astype(np.float32)
        return standard

    def predict(self, x: F32) -> npt.NDArray[np.float64]:
        return np.asarray(self.library.predict_proba(self._standard(x))[:, 1], dtype=np.float64)


def medians(x: F32) -> F32:
    """Median a column, 0 where a column holds nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without a value
        return np.nan_to_num(np.nanmedian(x, axis=0)).astype(np.float32)
