"""The rows a feature-row family learns from and is judged on, as one float32 matrix."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from presage.errors import InputError
from presage.files import read_json

F32 = npt.NDArray[np.float32]
TRAIN = "train"
SCORED = ("select", "calibrate", "test", "purged")


@dataclass(frozen=True)
class Rows:
    """keys: entity, time, label, cluster, part, fold, sorted by (entity, time). x: f32[n, inputs], NaN = null; inputs: the
    feature names in order, then the detectors' (`detectors` of them)."""

    keys: pl.DataFrame
    x: F32
    inputs: tuple[str, ...]
    detectors: int

    @property
    def labels(self) -> npt.NDArray[np.int8]:
        """0 or 1, int8[n]; only rows of a labelled part have one."""
        return self.keys["label"].to_numpy().astype(np.int8)

    @property
    def folds(self) -> npt.NDArray[np.int8]:
        """Forward-chain block of each row, −1 in the room between blocks."""
        return self.keys["fold"].fill_null(-1).to_numpy().astype(np.int8)

    @property
    def copies(self) -> npt.NDArray[np.bool_]:
        """Rows that were added to show what a start looks like (warm_starts.py): learnt from, never judged by."""
        return self.keys["copy"].to_numpy() if "copy" in self.keys.columns else np.zeros(self.keys.height, bool)

    def take(self, mask: npt.NDArray[np.bool_]) -> "Rows":
        return Rows(self.keys.filter(pl.Series(mask)), self.x[mask], self.inputs, self.detectors)


def load_keys(labels: Path, folds: Path, parts: tuple[str, ...]) -> pl.DataFrame:
    """entity, time, label, strict, incident, cluster, part, fold of the rows in `parts`, sorted by (entity, time)."""
    table = pl.read_parquet(folds / "folds.parquet").filter(pl.col("part").is_in(parts))
    return table.join(pl.read_parquet(labels / "labels.parquet"), on=["entity", "time"], how="left").sort("entity", "time")


def load_rows(features: Path, labels: Path, folds: Path, detectors: Path, parts: tuple[str, ...]) -> Rows:
    """Rows of `parts`: feature columns in the declaration's order, then detector columns. Raises InputError where the part
    train is empty or of one class."""
    keys = load_keys(labels, folds, parts)
    names = input_names(features, detectors)
    x = np.empty((keys.height, len(names[0]) + len(names[1])), np.float32)
    place = 0
    for path, columns in ((features / "rows.parquet", names[0]), (detectors / "scores.parquet", names[1])):
        # the unlabelled weeks, often most of the file, are not read at all
        table = pl.scan_parquet(path).filter(pl.col("time") >= keys["time"].min()).select("entity", "time", *columns).collect()
        joined = keys.select("entity", "time").join(table, on=["entity", "time"], how="left", maintain_order="left")
        for column in columns:  # one column at a time: the matrix is held once
            x[:, place] = joined[column].cast(pl.Float32).fill_null(np.nan).to_numpy()
            place += 1
    if TRAIN in parts:
        labelled = keys.filter(pl.col("part") == TRAIN)["label"]
        positive = int(labelled.sum())
        if not 0 < positive < len(labelled):
            raise InputError(f"{folds}: the part train has {positive} incident rows among {len(labelled)}; both kinds are needed. Give a longer history.")
    return Rows(keys, x, tuple(names[0] + names[1]), len(names[1]))


def input_names(features: Path, detectors: Path) -> tuple[list[str], list[str]]:
    """(names of the feature row in order, detector columns in order)."""
    from presage.features.declaration import BoundView

    document = read_json(features / "features.json")
    document.pop("version")
    columns = pl.scan_parquet(detectors / "scores.parquet").collect_schema().names()
    return BoundView.from_document(document).names, [name for name in columns if name.startswith("detector.")]
