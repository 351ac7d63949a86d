"""LightGBM, shallow and strongly regularised: a few dozen independent incidents are soon learnt by heart.

Risk may only rise with a detector's score (monotone constraints): what is more unusual is never safer. Without that the
trees learn which unusual hours happened to be harmless in the weeks they saw.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.arrays import from_lightgbm
from components.train.budget import Budget
from components.train.candidates import Candidate, choose, input_sets
from components.train.fitted import Fitted
from components.train.graph import tree_graph
from components.train.rows import F32, Rows

ROUNDS = (25, 50, 100, 200)
"""Lengths of training that the forward chain weighs; the last is the longest."""
SETTINGS = {"learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 100, "lambda_l2": 10.0, "max_bin": 63}


def fit(rows: Rows, budget: Budget, seed: int, threads: int) -> Fitted:
    """rows: of part train."""
    rises = np.zeros(len(rows.inputs), np.int8)
    rises[len(rises) - rows.detectors :] = 1
    variants = {
        "detectors": {"random splits": {"feature_fraction": 0.3, "extra_trees": True}},
        "all": {"random splits": {"feature_fraction": 0.2, "extra_trees": True},
                "best splits": {"feature_fraction": 0.2, "bagging_fraction": 0.5, "bagging_freq": 1}},
    }  # fmt: skip
    candidates = [
        Candidate(f"{name}, {variant}", columns, {**SETTINGS, **settings, "monotone_constraints": rises[columns].tolist()})
        for name, columns in input_sets(rows).items() for variant, settings in variants[name].items()
    ]  # fmt: skip

    def stages(candidate: Candidate, x: F32, y: npt.NDArray[np.int8], later: F32) -> dict[int, npt.NDArray[np.float64]]:
        booster = _grown(candidate, x, y, ROUNDS[-1], budget=budget, seed=seed, threads=threads)
        return {rounds: np.asarray(booster.predict(later, num_iteration=rounds)) for rounds in ROUNDS if rounds <= booster.current_iteration()}

    choice = choose(candidates, rows, stages, budget, default=ROUNDS[2])
    columns = choice.candidate.columns
    booster = _grown(choice.candidate, rows.x[:, columns], rows.labels, choice.stage, budget=budget, seed=seed, threads=threads)
    rounds = booster.current_iteration()
    trees = from_lightgbm(booster, rounds, columns)
    settings = {name: value for name, value in choice.candidate.settings.items() if name != "monotone_constraints"}
    parameters = {**settings, "inputs": choice.candidate.name, "rounds": rounds, "rising_inputs": int(rises[columns].sum()), "forward_chain": choice.table}
    return Fitted(tree_graph(trees, len(rows.inputs)), lambda x: np.asarray(booster.predict(x[:, columns]), dtype=np.float64), parameters, trees)


def _grown(candidate: Candidate, x: F32, y: npt.NDArray[np.int8], rounds: int, *, budget: Budget, seed: int, threads: int) -> Any:
    """A booster of `rounds` trees, fewer where the budget is spent. Leaves shrink with few rows, else nothing could split."""
    import lightgbm

    def stop(state: Any) -> None:
        if state.iteration + 1 < rounds and budget.runs_out():
            raise lightgbm.callback.EarlyStopException(state.iteration, [])

    parameters = {**candidate.settings, "min_data_in_leaf": min(candidate.settings["min_data_in_leaf"], max(1, len(y) // 50)),
                  "objective": "binary", "verbose": -1, "seed": seed, "deterministic": True, "force_row_wise": True, "num_threads": threads}  # fmt: skip
    return lightgbm.train(parameters, lightgbm.Dataset(x, y, params={"verbose": -1}), rounds, callbacks=[stop])
