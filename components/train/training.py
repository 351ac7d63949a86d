"""One family, from its folders to its folder: rows in, graph, scores, trees and what was done out."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from components.train.budget import Budget
from components.train.envelope import ROWS, fit_envelope
from components.train.fitted import F32, Fitted, checked_difference, run_graph
from components.train.rows import SCORED, TRAIN, load_keys, load_rows
from presage.errors import InputError
from presage.features.declaration import BoundView
from presage.files import read_json, write_bytes, write_json, written_aside
from presage.governance.model_policy import ModelPolicy

Kind = Literal["feature_row", "sequence"]
FAMILIES: dict[str, Kind] = {
    "logistic_regression": "feature_row", "random_forest": "feature_row", "lightgbm": "feature_row", "temporal_convolution": "sequence",
}  # fmt: skip
HELD_OUT = ("select", "calibrate")
"""Parts by which the envelope's limits are set; the test's rows set nothing."""


def train(  # noqa: PLR0917 - as every step: what it reads, then what it writes
    family: str, features: Path, labels: Path, folds: Path, detectors: Path, policy: ModelPolicy, model: Path, seed: int = 7, threads: int = 1
) -> None:  # fmt: skip
    """model.onnx, scores.parquet, training.json, envelope.safetensors and, for trees, trees.safetensors (docs/architecture.md).

    Raises InputError for an unknown family or rows of one class, RunFailed where graph and library disagree.
    """
    if family not in FAMILIES:
        raise InputError(f"{family!r} is no family. Choose among {', '.join(FAMILIES)}.")
    budget = Budget(getattr(policy.training_budget_seconds, family), time.monotonic)
    step = _Step(features, labels, folds, detectors, budget, seed, threads)
    fitted, learnt, inputs, keys, x = _train_sequences(step) if FAMILIES[family] == "sequence" else _train_rows(family, step)
    seconds = budget.spent
    difference = checked_difference(family, fitted, x, seed)
    envelope = fit_envelope(learnt, x[keys["part"].is_in(HELD_OUT).to_numpy()], seed)
    with written_aside(model) as aside:
        aside.mkdir(parents=True)
        write_bytes(aside / "model.onnx", fitted.graph)
        if fitted.trees is not None:
            fitted.trees.save(aside / "trees.safetensors")
        write_bytes(aside / "envelope.safetensors", envelope.to_bytes())
        keys.select("entity", "time").with_columns(score=pl.Series(run_graph(fitted.graph, x), dtype=pl.Float32)).write_parquet(aside / "scores.parquet")
        write_json(aside / "training.json", {
            "family": family,
            "kind": FAMILIES[family],
            "seconds": round(seconds, 2),
            "budget_seconds": budget.seconds,
            "budget_bound": budget.bound or seconds > budget.seconds,
            "inputs": list(inputs),
            "history": x.shape[1] if x.ndim == 3 else 0,
            "onnx_max_difference": difference,
            "seed": seed,
            "parameters": json.loads(json.dumps(fitted.parameters, default=float)),
        })


@dataclass(frozen=True)
class _Step:
    features: Path
    labels: Path
    folds: Path
    detectors: Path
    budget: Budget
    seed: int
    threads: int


_Outcome = tuple[Fitted, F32, tuple[str, ...], pl.DataFrame, F32]
"""The model, the rows it learnt from, the inputs' names, and keys and rows of every other part."""


def _train_rows(family: str, step: _Step) -> _Outcome:
    from components.train import lightgbm, logistic_regression, random_forest
    from components.train.rows import Rows
    from components.train.warm_starts import with_starts

    fits: dict[str, Callable[[Rows, Budget, int, int], Fitted]] = {
        "logistic_regression": logistic_regression.fit, "random_forest": random_forest.fit, "lightgbm": lightgbm.fit,
    }  # fmt: skip
    rows = load_rows(step.features, step.labels, step.folds, step.detectors, (TRAIN, *SCORED))
    learnt = (rows.keys["part"] == TRAIN).to_numpy()
    taught = with_starts(rows.take(learnt), step.features, step.detectors, step.seed)
    fitted = fits[family](taught, step.budget, step.seed, step.threads)
    rest = rows.take(~learnt)
    return fitted, taught.x, rows.inputs, rest.keys, rest.x


def _train_sequences(step: _Step) -> _Outcome:
    from components.train import temporal_convolution

    document = read_json(step.features / "features.json")
    document.pop("version")
    view = BoundView.from_document(document)
    parts = {part: load_keys(step.labels, step.folds, part) for part in ((TRAIN,), SCORED)}
    learnt, rest = (temporal_convolution.sequences(step.features / "ticks.parquet", view, keys) for keys in parts.values())
    keys = parts[(TRAIN,)]
    truth = keys["label"].to_numpy().astype(np.int8)
    if not 0 < truth.sum() < len(truth):
        raise InputError(f"{step.folds}: the part train has {int(truth.sum())} incident rows among {len(truth)}; both kinds are needed. Give a longer history.")
    blocks = keys["fold"].fill_null(-1).to_numpy().astype(np.int8)
    fitted = temporal_convolution.fit(learnt, truth, blocks, budget=step.budget, seed=step.seed, threads=step.threads)
    drawn = np.random.default_rng(step.seed).choice(len(truth), min(len(truth), ROWS), replace=False)
    return fitted, learnt.window(np.sort(drawn)), view.metrics, parts[SCORED], rest.every()
