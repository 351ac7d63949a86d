"""Rows that lie ready in a file, a column an input of the model."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from inference.path.inside import Inside, Scored
from presage.errors import InputError
from presage.files import sha256_file
from presage.package.contract import Contract

KEYS = ("entity", "time")
"""Columns that may stand beside the inputs; they come back with the predictions."""


class Given:
    """path: Parquet; inputs that it lacks are missing values. Order: the file's. Raises InputError."""

    def __init__(self, path: Path, contract: Contract) -> None:
        if contract.kind != "feature_row":
            raise InputError(f"{contract.name} reads sequences, which do not fit into columns. Score it from telemetry: presage run batch-scoring.")
        names = [field.name for field in contract.inputs]
        try:
            schema = pl.read_parquet_schema(path)
            self._height = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path} cannot be read as rows ({str(error)[:200]}). Give a Parquet file with a column an input.") from error
        if strange := [name for name in schema if name not in names and name not in KEYS]:
            raise InputError(f"{path}: {strange[0]!r} is no input of {contract.name}. `presage contract show` names them.")
        if not any(name in names for name in schema):
            raise InputError(f"{path} holds no input of {contract.name}. `presage contract show` names them.")
        if text := [name for name, kind in schema.items() if name in names and not (kind.is_numeric() or kind == pl.Boolean)]:
            raise InputError(f"{path}: {text[0]} holds {schema[text[0]]}, not numbers. Mend the column.")
        self._path, self._names = path, names
        self._known = [name for name in names if name in schema]
        self._entity, self._time = "entity" in schema, isinstance(schema.get("time"), pl.Datetime)
        self.digests = [sha256_file(path)]

    def __len__(self) -> int:
        return self._height

    def scored(self, inside: Inside, ids: list[str], start: int) -> list[Scored]:
        """Predictions of the rows from `start` on, one an id."""
        table = pl.scan_parquet(self._path).slice(start, len(ids)).collect()
        x = np.full((table.height, len(self._names)), np.nan, np.float32)
        for name in self._known:
            x[:, self._names.index(name)] = table[name].cast(pl.Float32, strict=False).fill_null(np.nan).to_numpy()
        answers = inside.given(list(zip(ids, x, strict=True)))
        return [inside.scored(answer, entity, time) for answer, (entity, time) in zip(answers, self._keys(table), strict=True)]

    def _keys(self, table: pl.DataFrame) -> Iterator[tuple[str | None, float | None]]:
        for place in range(table.height):
            time = table["time"][place] if self._time else None
            yield (str(table["entity"][place]) if self._entity and table["entity"][place] is not None else None, None if time is None else time.timestamp())
