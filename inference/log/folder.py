"""Where the log's files lie, and which of them hold a stretch of time.

    LOG/decisions/day=2026-03-01/region=eu-central/<journal>-<ordinal>.parquet
    LOG/snapshots/…                                the online rows that those decisions read, by the day of the first that did

A file is whole or absent, and its name follows from where in the journal its records began: shipped twice it replaces itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from presage.errors import InputError

Table = Literal["decisions", "snapshots"]
TABLES: tuple[Table, ...] = ("decisions", "snapshots")
_PLACE = re.compile(r"day=(?P<day>\d{4}-\d\d-\d\d)/region=(?P<region>[^/]+)/(?P<name>[^/.][^/]*\.parquet)")


@dataclass(frozen=True)
class LogFile:
    """One file of the log."""

    path: Path
    table: Table
    day: date
    region: str

    @property
    def key(self) -> str:
        """Its place under the log, with `/`."""
        return f"{self.table}/day={self.day.isoformat()}/region={self.region}/{self.path.name}"


def partition(log: Path, table: Table, day: date, region: str) -> Path:
    """The folder of one day and region."""
    return log / table / f"day={day.isoformat()}" / f"region={region}"


def files(log: Path, table: Table, since: date | None = None, until: date | None = None) -> list[LogFile]:
    """Whole files in order of day and name; since and until (both included): only those days."""
    return [
        file for file in sorted(every(log, table), key=lambda file: (file.day, file.path.name))
        if (since is None or file.day >= since) and (until is None or file.day <= until)
    ]  # fmt: skip


def every(log: Path, table: Table) -> Iterator[LogFile]:
    """Whole files, a folder at a time in memory: by day, region and name."""
    root = log / table
    for day in sorted(root.glob("day=*")):
        for region in sorted(day.glob("region=*")):
            for path in sorted(region.glob("*.parquet")):
                match = _PLACE.fullmatch(path.relative_to(root).as_posix())
                if match is not None:
                    yield LogFile(path, table, date.fromisoformat(match["day"]), match["region"])


def require_log(log: Path) -> None:
    """Raises InputError where there is no log."""
    if not (log / "decisions").is_dir():
        raise InputError(f"{log}: no prediction log lies here. Name the folder that a server's --prediction_log wrote, with --log.")


def around(day: date) -> tuple[date, date]:
    """The days whose snapshots decisions of `day` usually read: a row may have been read first just before midnight."""
    return day - timedelta(days=1), day
