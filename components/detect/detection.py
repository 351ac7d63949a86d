"""Unlabelled ticks become detectors, and every tick its scores."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from components.detect.fit import fit_detectors
from presage.errors import InputError
from presage.features.declaration import BoundView
from presage.features.detectors import Detectors
from presage.files import read_json, written_aside

SEED = 0


def detect(features: Path, folds: Path, detectors: Path, seed: int = SEED) -> None:
    """detectors.safetensors and scores.parquet (docs/architecture.md). Fits on rows of part `unsupervised` alone; their
    labels, where they have any, are never opened. Raises InputError where there is too little of them."""
    document = read_json(features / "features.json")
    document.pop("version")
    view = BoundView.from_document(document)
    ticks = pl.read_parquet(features / "ticks.parquet").sort("entity", "time")
    parts = pl.read_parquet(folds / "folds.parquet").filter(pl.col("part") == "unsupervised")
    if parts.is_empty():
        raise InputError(f"{folds}: no row is in the part unsupervised, and the detectors may learn from nothing else. Split again.")
    quiet = ticks.join(parts.select("entity", "time"), on=["entity", "time"], how="semi").sort("entity", "time")
    step = view.view.tick.total_seconds()
    fitted = fit_detectors({name: on_grid(rows, view.metrics, step) for name, rows in by_entity(quiet)}, view.metrics, view.view.tick, seed)
    tables = [_scored(fitted, name, rows, step) for name, rows in by_entity(ticks)]
    with written_aside(detectors) as aside:
        aside.mkdir(parents=True)
        fitted.save(aside / "detectors.safetensors")
        pl.concat(tables).write_parquet(aside / "scores.parquet")


def by_entity(ticks: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The table cut by entity, names ascending."""
    return [(str(rows["entity"][0]), rows) for rows in ticks.partition_by("entity", maintain_order=True)]


def on_grid(rows: pl.DataFrame, metrics: tuple[str, ...], step: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """One entity's ticks, sorted by time → (f32[T, metrics] without holes in time, NaN = not seen; f64[T] Unix seconds)."""
    times = seconds(rows["time"])
    places = np.round((times - times[0]) / step).astype(np.int64)
    grid = np.full((int(places[-1]) + 1, len(metrics)), np.nan, np.float32)
    grid[places] = rows.select(metrics).to_numpy().astype(np.float32)
    return grid, times[0] + step * np.arange(len(grid))


def seconds(times: pl.Series) -> npt.NDArray[np.float64]:
    """Event times as Unix seconds, f64."""
    return times.dt.epoch("us").to_numpy().astype(np.float64) / 1e6


def _scored(fitted: Detectors, entity: str, rows: pl.DataFrame, step: float) -> pl.DataFrame:
    grid, clock = on_grid(rows, fitted.metrics, step)
    places = np.round((seconds(rows["time"]) - clock[0]) / step).astype(np.int64)
    scores = fitted.series(grid, clock, entity)[places]
    columns = {name: pl.Series(name, np.ascontiguousarray(scores[:, index]), nan_to_null=True) for index, name in enumerate(fitted.names)}
    return rows.select("entity", "time").with_columns(**columns, ensemble=columns[fitted.ensemble])
