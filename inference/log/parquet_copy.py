"""The log copied to a folder as it is: `presage log sync --to parquet:FOLDER`.

The same files under the same names, each whole or absent, so a copy that was interrupted goes on where it was and one that is repeated changes
nothing. A file that was shipped again with more records in it replaces its copy.
"""

import shutil
from pathlib import Path

import polars as pl

from inference.log.folder import TABLES, Table, files
from inference.log.warehouse import Synced, SyncedTable
from presage.errors import InputError
from presage.files import sha256_file, written_aside


def copy_parquet(log: Path, target: Path) -> Synced:
    """Raises InputError where the target is the log itself, StateError on a full disk."""
    if target.resolve().is_relative_to(log.resolve()) or log.resolve().is_relative_to(target.resolve()):
        raise InputError(f"{target} and the log {log} lie in one another. Name a folder apart.")
    return Synced(f"parquet:{target}", [_table(log, table, target) for table in TABLES])


def _table(log: Path, table: Table, target: Path) -> SyncedTable:
    copied = rows = 0
    found = files(log, table)
    for file in found:
        place = target / file.key
        if place.is_file() and place.stat().st_size == file.path.stat().st_size and sha256_file(place) == sha256_file(file.path):
            continue
        with written_aside(place) as aside:
            shutil.copyfile(file.path, aside)
        copied += 1
        rows += pl.scan_parquet(file.path, hive_partitioning=False).select(pl.len()).collect().item()
    return SyncedTable(table, len(found), copied, rows)
