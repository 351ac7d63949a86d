"""Reasons of one row: our TreeSHAP over arrays against LightGBM's own `pred_contrib`, side by side in one process.

    python benchmarks/reasons.py [--json FILE] [--rounds 7]

150 trees of 31 leaves over 100 inputs, 256 rows in rotation, one thread; the same model with numbers alone, with missing values and with
categories. Every answer of a round is compared with the library's; the ratio is of medians over the rounds, taken in turn.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import lightgbm
import numpy as np
import numpy.typing as npt

from components.train.arrays import from_lightgbm
from presage.package.treeshap import TreeExplainer

INPUTS, TREES, LEAVES, LEARNT, ROTATED = 100, 150, 31, 4000, 256
CATEGORICAL, CATEGORIES = 10, 24
TARGET = 0.6  # ms a row
F32 = npt.NDArray[np.float32]
KINDS = ("numbers", "missing values", "categories and missing values")


def drawn(kind: str, count: int, seed: int) -> F32:
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, INPUTS)).astype(np.float32)
    if kind.startswith("categories"):
        x[:, -CATEGORICAL:] = random.integers(0, CATEGORIES, (count, CATEGORICAL))
    if "missing" in kind:
        x[random.random(x.shape) < 0.1] = np.nan
    return x


def grown(kind: str) -> Any:
    x = drawn(kind, LEARNT, 0)
    strain = np.nan_to_num(x) @ np.random.default_rng(1).normal(size=INPUTS) + 3 * (np.nan_to_num(x[:, -1]) % 3 == 1)
    parameters = {"objective": "binary", "num_leaves": LEAVES, "min_data_in_leaf": 5, "min_data_per_group": 5, "feature_fraction": 0.5, "verbose": -1,
                  "num_threads": 1, "seed": 1}  # fmt: skip
    named = list(range(INPUTS - CATEGORICAL, INPUTS)) if kind.startswith("categories") else []
    return lightgbm.train(parameters, lightgbm.Dataset(x, strain > np.median(strain), categorical_feature=named, params={"verbose": -1}), TREES)


def milliseconds(answer: Callable[[F32], Any], rows: F32) -> float:
    """A row, one after another."""
    before = time.perf_counter()
    for row in rows:
        answer(row)
    return 1000 * (time.perf_counter() - before) / len(rows)


def compared(kind: str, rounds: int) -> dict[str, Any]:
    booster = grown(kind)
    before = time.perf_counter()
    trees = from_lightgbm(booster, TREES, np.arange(INPUTS))
    explainer = TreeExplainer(trees)
    built = time.perf_counter() - before
    rows = drawn(kind, ROTATED, 2)
    ours = np.stack([explainer.contributions(row) for row in rows])
    theirs = booster.predict(rows, pred_contrib=True)[:, :-1]
    difference = float(np.abs(ours - theirs).max())
    if difference > 1e-8:
        raise SystemExit(f"{kind}: reasons differ by {difference:g}, nothing was measured")

    def library(row: F32) -> Any:
        return booster.predict(row[None], pred_contrib=True, num_threads=1)

    pairs = [(milliseconds(explainer.contributions, rows), milliseconds(library, rows)) for _ in range(rounds)]
    mine, other = (statistics.median(pair[place] for pair in pairs) for place in (0, 1))
    spread = [min(pair[0] for pair in pairs), max(pair[0] for pair in pairs)]
    return {"kind": kind, "ms": round(mine, 3), "ms_spread": [round(value, 3) for value in spread], "lightgbm_ms": round(other, 3),
            "ratio": round(other / mine, 2), "difference": difference, "build_seconds": round(built, 2)}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rows = [compared(kind, options.rounds) for kind in KINDS]
    versions = {name: version(name) for name in ("numpy", "lightgbm")}
    print(f"{TREES} trees of {LEAVES} leaves, {INPUTS} inputs, {ROTATED} rows in rotation; {', '.join(f'{name} {found}' for name, found in versions.items())}")
    print(f"{'':<32}{'ours':>10}{'least to most':>18}{'pred_contrib':>14}{'ratio':>8}{'difference':>12}")
    for row in rows:
        spread = "{:.2f} to {:.2f}".format(*row["ms_spread"])
        print(f"{row['kind']:<32}{row['ms']:>7.3f} ms{spread:>18}{row['lightgbm_ms']:>11.3f} ms{row['ratio']:>7.2f}x{row['difference']:>12.1e}")
    print(f"target: {TARGET} ms a row")
    if options.json:
        options.json.write_text(json.dumps({"versions": versions, "rounds": options.rounds, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
