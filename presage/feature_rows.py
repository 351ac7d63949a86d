"""Feature rows in a file: CSV, Parquet or JSON, a column a feature, a row a prediction.

An empty cell is a value that was not seen. Columns that the pipeline's own tables carry beside the features (`entity` or
`server`, `time`, `warming`, `coverage_…`) are no features; the name in `entity` or `server` labels the row.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presage.errors import InputError

if TYPE_CHECKING:
    import polars as pl

_NAMES = ("server", "entity")
_BESIDE = ("time", "warming", *_NAMES)


@dataclass(frozen=True)
class FeatureRows:
    """names: of the rows where the file has them, else `row 1`, …; rows: {feature: value}, None = not seen."""

    names: list[str]
    rows: list[dict[str, float | None]]


def read_feature_rows(path: Path) -> FeatureRows:
    """Read `path` by its suffix (.csv, .parquet, .json). Raises InputError naming file, row, column, value and remedy."""
    table = _read(path)
    if table.is_empty():
        raise InputError(f"{path} has no rows. Give a row a prediction, a column a feature.")
    features = [name for name in table.columns if name not in _BESIDE and not name.startswith("coverage_")]
    if not features:
        raise InputError(f"{path} has no feature column, only {', '.join(table.columns)}. Name the columns as the model's features.")
    named = next((name for name in _NAMES if name in table.columns), None)
    names = [str(name) for name in table[named]] if named else [f"row {number}" for number in range(1, table.height + 1)]
    columns = {name: [_number(path, number, name, cell) for number, cell in enumerate(table[name], start=1)] for name in features}
    return FeatureRows(names, [{name: columns[name][index] for name in features} for index in range(table.height)])


def _read(path: Path) -> "pl.DataFrame":
    import polars as pl

    readers = {
        ".csv": lambda: pl.read_csv(path, infer_schema=False, glob=False),
        ".parquet": lambda: pl.read_parquet(path, glob=False),
        ".json": lambda: pl.read_json(path, infer_schema_length=None),
    }
    if path.suffix not in readers:
        raise InputError(f"{path}: the suffix is {path.suffix!r}. Name a .csv, .parquet or .json file of feature rows.")
    if path.is_dir():
        raise InputError(f"{path} is a folder. Name one file of feature rows.")
    try:
        return readers[path.suffix]()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist. Name a .csv, .parquet or .json file of feature rows.") from None
    except (pl.exceptions.PolarsError, OSError, RuntimeError) as error:
        raise InputError(f"{path} does not read as {path.suffix[1:]} ({str(error).splitlines()[0]}). Mend the file.") from None


def _number(path: Path, row: int, column: str, cell: Any) -> float | None:
    if cell is None or cell == "":
        return None
    try:
        value = float(cell)
    except (TypeError, ValueError):
        raise InputError(f"{path}: row {row}: {column} is {cell!r}, not a number. Write a number, or leave the cell empty.") from None
    if not math.isfinite(value):
        raise InputError(f"{path}: row {row}: {column} is {cell}, not finite. Leave the cell empty where nothing was seen.")
    return value
