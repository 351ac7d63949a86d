"""Somebody is forgotten: the key goes, and with it whatever the log and every copy of it hold of that subject."""

from pathlib import Path

import msgspec

from inference.log.folder import TABLES, Table, files
from inference.log.subjects import Subjects
from presage.errors import InputError


class Erased(msgspec.Struct, frozen=True):
    """had_key: whether there was anything to open. decisions, snapshots: rows of this log that are sealed for the subject; dry_run: whether the
    key is still there."""

    had_key: bool
    decisions: int
    snapshots: int
    dry_run: bool


def erase(log: Path, subject: str, subjects: Subjects, now: float, *, dry_run: bool) -> Erased:
    """now: Unix seconds; a record that was made before gets no new key, wherever it still is on its way."""
    if not subject:
        raise InputError("The subject's name is empty. Give it as callers write it.")
    pseudonym = subjects.pseudonym(subject)
    found = {table: 0 if pseudonym is None else _rows(log, table, pseudonym) for table in TABLES}
    had = pseudonym is not None if dry_run else subjects.forget(subject, now)
    return Erased(had, found["decisions"], found["snapshots"], dry_run)


def _rows(log: Path, table: Table, pseudonym: str) -> int:
    import polars as pl

    return sum(
        pl.scan_parquet(file.path, hive_partitioning=False).filter(pl.col("subject") == pseudonym).select(pl.len()).collect().item()
        for file in files(log, table)
    )
