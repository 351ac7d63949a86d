"""Rows of the feature table as the online store would have held them at their ticks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from inference.path.inside import Inside, Scored
from presage.errors import InputError
from presage.features.declaration import BoundView
from presage.features.history import histories
from presage.features.store import OnlineRow
from presage.features.windows import coverage_names
from presage.files import read_json, sha256_file
from presage.package.contract import Contract


class LookedUp:
    """features: featurize's folder. keys: a Parquet file of (entity, time) to be scored, None = all. Order: by time, then entity.

    Raises InputError where the rows are of another feature version, or a key has no row.
    """

    def __init__(self, features: Path, contract: Contract, keys: Path | None = None) -> None:
        document = read_json(features / "features.json")
        version = document.pop("version")
        if version != contract.feature_version:
            fact = f"{features} holds features of version {version}, {contract.name} reads {contract.feature_version}."
            raise InputError(f"{fact} Featurize by the view that the release was trained with (--view).")
        self._bound = BoundView.from_document(document)
        self._features = features
        held = pl.scan_parquet(features / "rows.parquet").select("entity", "time").collect()
        self._keys = (held if keys is None else _wanted(keys, held)).sort("time", "entity")
        files = [features / "rows.parquet", features / "ticks.parquet", *([] if keys is None else [keys])]
        self.digests = [sha256_file(file) for file in files]

    def __len__(self) -> int:
        return self._keys.height

    def scored(self, inside: Inside, ids: list[str], start: int) -> list[Scored]:
        """Predictions of the rows from `start` on, one an id."""
        rows = self._rows(start, start + len(ids))
        answers = inside.looked_up(list(zip(ids, rows, strict=True)))
        return [inside.scored(answer) for answer in answers]

    def _rows(self, start: int, end: int) -> Iterator[OnlineRow]:
        """The rows with their histories; only the ticks that these reach back to are read."""
        keys, bound = self._keys[start:end], self._bound
        first, last = keys["time"].min(), keys["time"].max()
        assert first is not None and last is not None
        within = pl.col("time").is_between(first, last)
        table = pl.scan_parquet(self._features / "rows.parquet").filter(within).collect()
        table = keys.join(table, on=["entity", "time"], how="left", maintain_order="left")
        reach = bound.view.history * bound.view.tick
        ticks = pl.scan_parquet(self._features / "ticks.parquet").filter(pl.col("time").is_between(first - reach, last)).collect()  # type: ignore[operator]
        values = table.select(bound.names).to_numpy().astype(np.float32, copy=False)
        coverage = table.select(coverage_names(bound)).to_numpy().astype(np.float32, copy=False)
        history = histories(bound, ticks, keys)
        for place, (entity, time) in enumerate(keys.iter_rows()):
            yield OnlineRow(entity, time.timestamp(), bound.version, values[place], coverage[place], history[place])


def _wanted(path: Path, held: pl.DataFrame) -> pl.DataFrame:
    try:
        keys = pl.read_parquet(path, columns=["entity", "time"])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be read as rows to score ({str(error)[:200]}). Give a Parquet file with columns entity and time.") from error
    try:
        keys = keys.select(pl.col("entity").cast(pl.String), pl.col("time").cast(held.schema["time"])).unique(maintain_order=True)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: entity or time is of another kind ({str(error)[:200]}). time is a Datetime with a zone.") from error
    if (strange := keys.join(held, on=["entity", "time"], how="anti")).height:
        entity, time = strange.row(0)
        raise InputError(f"{path} names {strange.height} rows that the source does not give, first {entity} at {time}. Ask for ticks that it covers.")
    return keys
