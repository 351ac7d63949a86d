"""Ingest keeps what it can read, and says what it could not."""

from pathlib import Path

import polars as pl
import pytest

from components.ingest.telemetry import ingest
from presage.errors import InputError, RowsRefused, UsageError
from presage.files import read_json
from presage.telemetry.schema import Telemetry

HEADER = "time,server,system.cpu.utilization\n"


def csv_of(folder: Path, rows: list[str]) -> str:
    path = folder / "fleet.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return f"csv:{path}"


ROWS = [f"2026-03-02T00:{minute:02}:00Z,web-01,0.{minute + 10}" for minute in range(30)]


def test_rows_that_do_not_read_are_in_the_quarantine_with_place_and_reason(tmp_path):
    spec = csv_of(tmp_path, [*ROWS, "2026-03-02T00:40:00Z,web-01,n/a"])
    ingest(spec, tmp_path / "telemetry", tmp_path / "quarantine")
    refused = pl.read_parquet(tmp_path / "quarantine" / "rows.parquet")
    assert all("fleet.csv:32" in place for place in refused["place"])
    assert "n/a" in refused["value"].to_list()
    assert read_json(tmp_path / "quarantine" / "summary.json")["kept_rows"] == len(ROWS)
    assert Telemetry.load(tmp_path / "telemetry").metric_names == ["system.cpu.utilization"]


def test_a_bad_row_ends_the_reading_where_that_is_wanted(tmp_path):
    spec = csv_of(tmp_path, [*ROWS, "2026-03-02T00:40:00Z,web-01,n/a"])
    with pytest.raises(RowsRefused, match="n/a"):
        ingest(spec, tmp_path / "telemetry", tmp_path / "quarantine", on_bad_row="fail")
    assert not (tmp_path / "telemetry").exists()


def test_a_file_without_a_usable_row_is_said_in_a_sentence(tmp_path):
    with pytest.raises(InputError):
        ingest(csv_of(tmp_path, []), tmp_path / "telemetry", tmp_path / "quarantine")
    assert not (tmp_path / "telemetry").exists()


def test_an_unknown_treatment_of_bad_rows_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="quarantine, fail"):
        ingest("simulated", tmp_path / "telemetry", tmp_path / "quarantine", on_bad_row="ignore")
