"""A file opened as a table, its cells as they were written."""

import csv
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from presage.errors import InputError


@dataclass(frozen=True)
class OpenedTable:
    """`cells`: a CSV's are all String (null = empty), a Parquet file's have their own types. `path` as the user gave it.
    `lines`: of each row the line on which it begins (Int64), None where a file has no lines."""

    path: str
    cells: pl.DataFrame
    lines: pl.Series | None = None

    def place(self, row: int) -> str:
        """`fleet.csv:42` or `fleet.parquet row 41` of row index `row`."""
        return f"{self.path} row {row + 1}" if self.lines is None else f"{self.path}:{self.lines[row]}"

    def places(self, rows: pl.Series) -> pl.Series:
        """The same for many row indices."""
        numbers, before = (rows + 1, " row ") if self.lines is None else (self.lines.gather(rows), ":")
        return pl.DataFrame({"number": numbers}).select(place=pl.lit(self.path + before) + pl.col("number").cast(pl.String))["place"]


def open_table(scheme: str, path: str) -> OpenedTable:
    """Read `path` as `csv` or `parquet`. Raises InputError where there is no such file, it is no such table, or it has no rows."""
    file = Path(path).expanduser()
    if not file.exists():
        raise InputError(f"{path}: there is no such file. Check the path given with --source.")
    if not file.is_file():
        raise InputError(f"{path}: is a folder, not a file. Give the path of one {scheme} file.")
    try:
        table = _csv(path, file) if scheme == "csv" else _parquet(path, file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from None
    if table.cells.is_empty():
        raise InputError(f"{path}: holds no rows. Give a file with telemetry in it.")
    return table


def _parquet(path: str, file: Path) -> OpenedTable:
    try:
        return OpenedTable(path, pl.read_parquet(file, glob=False))
    except pl.exceptions.PolarsError:
        raise InputError(f"{path}: is no Parquet file. Give a Parquet file, or read a text table with csv:{path}.") from None


def _csv(path: str, file: Path) -> OpenedTable:
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            header = handle.readline()
            separator = max(",;\t|", key=header.count)
            names = next(csv.reader([header], delimiter=separator), [])
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no UTF-8 text. Save it as UTF-8, or read a Parquet file with parquet:{path}.") from None
    if not header.strip():
        raise InputError(f"{path}: holds no header. The first line must name the columns.")
    if nameless := [number for number, name in enumerate(names, start=1) if not name.strip()]:
        raise InputError(f"{path}:1: column {nameless[0]} has no name (row numbers, often). Name it in the first line, or leave the column out.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{path}:1: the column {twice[0]!r} stands there twice. Rename one.")
    try:
        cells = pl.read_csv(file, separator=separator, infer_schema=False, glob=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(_why_not_csv(path, file, separator, len(names), error)) from None
    if cells.columns != names:
        cells.columns = names
    numbered = cells.select(
        # A quoted cell may hold line breaks: they push every later row down.
        line=pl.int_range(pl.len(), dtype=pl.Int64) + 2 + pl.sum_horizontal(pl.all().str.count_matches("\n").fill_null(0)).cum_sum().shift(1, fill_value=0),
        blank=pl.all_horizontal(pl.all().is_null()),
    )
    written = ~numbered["blank"]
    return OpenedTable(path, cells.filter(written), numbered.filter(written)["line"])


def _why_not_csv(path: str, file: Path, separator: str, fields: int, error: Exception) -> str:
    """The sentence for a text that does not parse: the first line that is too long, else what the reader said."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, delimiter=separator)
            for row in reader:
                if len(row) > fields:
                    return f"{path}:{reader.line_num}: has {len(row)} fields, the header names {fields}. Mend the line."
    except UnicodeDecodeError:
        return f"{path}: is no UTF-8 text. Save it as UTF-8."
    except csv.Error as problem:
        return f"{path}: is no CSV ({problem}). Mend the file."
    return f"{path}: is no CSV ({str(error).splitlines()[0]}). Mend the file."
