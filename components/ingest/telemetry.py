"""A source becomes telemetry and a quarantine: two folders, each whole or absent."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from presage.errors import InputError, UsageError
from presage.files import write_json, written_aside
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.sources import parse_source

OnBadRow = Literal["quarantine", "fail"]
LEAST_SAMPLES = 2  # of an entity, before a period or a window means anything


def ingest(source: str, telemetry: Path, quarantine: Path, on_bad_row: str = "quarantine") -> None:
    """Read everything `source` has into `telemetry/`; refused rows with their reasons into `quarantine/`.

    Raises InputError where nothing usable was read, RowsRefused where `on_bad_row` is `fail` and a row was refused.
    """
    choice: dict[str, OnBadRow] = {name: name for name in get_args(OnBadRow)}
    if on_bad_row not in choice:
        raise UsageError(f"--on-bad-row {on_bad_row!r} is no choice. Choose among {', '.join(choice)}.")
    refused = Quarantine(choice[on_bad_row])
    table = parse_source(source).read(refused)
    save_quarantine(quarantine, refused, kept=table.readings.height)
    if table.readings.height < LEAST_SAMPLES:
        raise InputError(f"{source} holds {table.readings.height} usable rows; {len(refused)} were refused. Give at least a few hours of telemetry.")
    if not table.metrics:
        raise InputError(f"{source} holds no metric: no column of numbers beside entity and time. Name the columns in a mapping file.")
    if table.period <= timedelta(0):
        raise InputError(f"{source} has a period of {table.period}. Give at least two different instants an entity.")
    table.save(telemetry)


def save_quarantine(folder: Path, refused: Quarantine, kept: int) -> None:
    """rows.parquet (QUARANTINE_SCHEMA) and summary.json {kept_rows, refused_rows, refused_cells, rules[{rule, refused}]}."""
    frame = refused.frame()
    rules = frame.group_by("rule").agg(pl.len().alias("refused")).sort("refused", "rule", descending=[True, False])
    with written_aside(folder) as aside:
        aside.mkdir(parents=True)
        frame.write_parquet(aside / "rows.parquet")
        write_json(aside / "summary.json", {
            "kept_rows": kept, "refused_rows": refused.refused_rows, "refused_cells": len(refused) - refused.refused_rows, "rules": rules.to_dicts(),
        })
