"""Training data against held-out data: drift.html by Evidently over the columns that moved most, drift.json with the numbers."""

import os
from pathlib import Path

import numpy as np
import polars as pl

from components.drift.distance import ks_distance
from presage.files import read_json, write_json, written_aside

SAMPLE = 3000
"""Rows of each side: a distance of .05 is already far outside of chance, and the page opens at once."""
SHOWN = 24
REFERENCE, HELD_OUT = "train", "test"


def drift(features: Path, folds: Path, page: Path, seed: int) -> None:
    """Writes drift.html and drift.json {reference, held_out, columns[{feature, ks, method, drift, drifted}], compared, drifted_share}."""
    sides = {part: _sample(features, folds, part, seed) for part in (REFERENCE, HELD_OUT)}
    distances = {name: distance for name in _names(features) if (distance := ks_distance(*(_column(side, name) for side in sides.values()))) is not None}
    shown = sorted(distances, key=lambda name: (-distances[name], name))[:SHOWN]
    with written_aside(page) as aside:
        aside.mkdir(parents=True)
        measured = _evidently_page(sides[REFERENCE].select(shown), sides[HELD_OUT].select(shown), aside / "drift.html")
        write_json(aside / "drift.json", {
            "reference": {"part": REFERENCE, "rows": sides[REFERENCE].height},
            "held_out": {"part": HELD_OUT, "rows": sides[HELD_OUT].height},
            "compared": len(distances),
            "columns": [{"feature": name, "ks": distances[name], **measured.get(name, {})} for name in shown],
            "drifted_share": float(np.mean([distance > 0.1 for distance in distances.values()])) if distances else 0.0,
        })


def _names(features: Path) -> list[str]:
    document = read_json(features / "features.json")
    calendar = {f"calendar.{term}" for term in document["calendar"]}
    return [name for name in pl.read_parquet_schema(features / "rows.parquet") if name not in {"entity", "time", "warming"} | calendar]


def _sample(features: Path, folds: Path, part: str, seed: int) -> pl.DataFrame:
    """SAMPLE rows of a part, drawn by key, so that only they are read from the wide table."""
    keys = pl.read_parquet(folds / "folds.parquet").filter(pl.col("part") == part).select("entity", "time").sort("entity", "time")
    keys = keys.sample(min(SAMPLE, keys.height), seed=seed)
    return pl.scan_parquet(features / "rows.parquet").join(keys.lazy(), on=["entity", "time"], how="semi").collect()


def _column(side: pl.DataFrame, name: str) -> np.ndarray:
    return side[name].cast(pl.Float64).to_numpy()


def _evidently_page(reference: pl.DataFrame, held_out: pl.DataFrame, path: Path) -> dict[str, dict[str, object]]:
    """The page; and per column what Evidently measured: {method, drift, drifted}."""
    os.environ["DO_NOT_TRACK"] = "1"  # Evidently reports its use over the network otherwise
    import warnings

    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = [name for name in reference.columns if reference[name].is_finite().any() and held_out[name].is_finite().any()]
    definition = DataDefinition(numerical_columns=columns)
    sides = [Dataset.from_pandas(table.select(pl.col(columns).cast(pl.Float64)).to_pandas(), data_definition=definition) for table in (held_out, reference)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snapshot = Report([DataDriftPreset()]).run(*sides)
        snapshot.save_html(str(path))
    measured: dict[str, dict[str, object]] = {}
    for metric in snapshot.dict()["metrics"]:
        config = metric.get("config") or {}
        if "column" in config and isinstance(metric["value"], int | float):
            method, threshold, value = config.get("method"), config.get("threshold"), float(metric["value"])
            small_is_drift = "p_value" in str(method)
            drifted = None if threshold is None else (value < threshold if small_is_drift else value >= threshold)
            measured[config["column"]] = {"method": method, "drift": value, "drifted": drifted}
    return measured
