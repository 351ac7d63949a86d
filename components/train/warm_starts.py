"""Training rows as they would look shortly after their server began to report: a model must have met such starts.

A share of the training rows is copied with everything older than a drawn age taken away: windows that would be less than
half covered are null, lags that reach too far are null, and detector columns are computed anew from the shortened history.
"""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from components.detect.detection import by_entity, on_grid, seconds
from components.train.rows import F32, Rows
from presage.features.declaration import BoundView
from presage.features.detectors import HISTORY, Detectors
from presage.files import read_json

SHARE = 0.05
AGES = (1, 2, 3, 6, 9, 12, 18, 24, 36, 48, 60)  # ticks since the server's first


def with_starts(rows: Rows, features: Path, detectors: Path, seed: int) -> Rows:
    """rows of part train → the same with SHARE of them added as starts (`copy` is true there)."""
    document = read_json(features / "features.json")
    document.pop("version")
    bound = BoundView.from_document(document)
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(len(rows.x), max(1, round(SHARE * len(rows.x))), replace=False))
    ages = random.choice(AGES, len(chosen))
    x = rows.x[chosen].copy()
    for age in AGES:
        x[np.ix_(ages == age, forgotten(bound, age))] = np.nan
    keys = rows.keys[chosen]
    if rows.detectors:
        fitted = Detectors.load((detectors / "detectors.safetensors").read_bytes())
        ticks = pl.read_parquet(features / "ticks.parquet")
        x[:, len(rows.inputs) - rows.detectors :] = fitted.features(
            _histories(keys, ticks, ages, bound), keys["entity"].to_list(), seconds(keys["time"])
        )
    whole = pl.concat([rows.keys.with_columns(copy=False), keys.with_columns(copy=True)])
    return Rows(whole, np.concatenate([rows.x, x]), rows.inputs, rows.detectors)


def forgotten(bound: BoundView, age: int) -> list[int]:
    """Places in the feature row that are null `age` ticks after a server's first."""
    view = bound.view
    seen = age * view.tick
    columns = [bool(seen < view.min_coverage * window) for window in view.windows for _ in view.aggregations]
    columns += [bool(seen <= lag) for lag in view.lags]
    return [index for index, null in enumerate(columns * len(bound.metrics) + [False] * len(view.calendar)) if null]


def _histories(keys: pl.DataFrame, ticks: pl.DataFrame, ages: np.ndarray, bound: BoundView) -> F32:
    """f32[rows, HISTORY, metrics], all before the last `ages` ticks taken away."""
    step = bound.view.tick / timedelta(seconds=1)
    grids = {name: on_grid(table.sort("time"), bound.metrics, step) for name, table in by_entity(ticks.sort("entity", "time"))}
    result = np.full((keys.height, HISTORY, len(bound.metrics)), np.nan, np.float32)
    for row, (entity, time, age) in enumerate(zip(keys["entity"], seconds(keys["time"]), ages, strict=True)):
        grid, clock = grids[entity]
        last = round((time - clock[0]) / step)
        first = max(0, last - int(age) + 1)
        result[row, HISTORY - (last - first + 1) :] = grid[first : last + 1]
    return result
