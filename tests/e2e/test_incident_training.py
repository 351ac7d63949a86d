"""The whole pipeline, for real, over a small simulated fleet: what it leaves, what it says, and how it goes on after being killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema_rs
import polars as pl
import psutil
import pytest
from builders.runs import SOURCE, small_policy

from pipelines.result import PRINTED
from presage.files import read_json

ROOT = Path(__file__).parents[2]


@pytest.fixture
def finished(trained_state) -> Path:
    """The folder of the one finished run."""
    (folder,) = (path.parent for path in trained_state.runs.glob("*/result.json"))
    return folder


def test_the_document_follows_its_schema(finished):
    result = read_json(finished / "result.json")
    schema = read_json(ROOT / "docs/schemas/run.json")
    jsonschema_rs.validator_for(schema).validate({name: result[name] for name in PRINTED})


def test_every_family_is_trained_and_one_that_reads_feature_rows_is_chosen(finished):
    result = read_json(finished / "result.json")
    assert {family["name"] for family in result["families"]} == {"logistic_regression", "random_forest", "lightgbm", "temporal_convolution"}
    assert result["winner"] != "temporal_convolution"
    assert result["average_precision"] > 2 * result["prevalence"]


def test_the_run_names_where_every_step_left_its_folder(finished):
    artifacts = read_json(finished / "result.json")["artifacts"]
    assert {"quality", "quarantine", "features", "labels", "folds", "detectors", "models", "evaluation", "drift", "packaged"} <= artifacts.keys()
    assert all((finished / place).is_dir() for value in artifacts.values() for place in (value if isinstance(value, list) else [value]))
    assert (finished / "report.html").is_file()


def test_nothing_the_run_leaves_is_readable_by_others(trained_state, finished):
    assert not trained_state.root.stat().st_mode & 0o077
    assert not finished.stat().st_mode & 0o077


def test_the_split_found_no_leak(finished):
    folds = read_json(finished / read_json(finished / "result.json")["artifacts"]["folds"] / "folds.json")
    assert folds["leakage"]["findings"] == []
    assert all(folds["parts"][part]["clusters"] >= 1 for part in ("train", "select", "calibrate", "test"))


def test_the_drift_page_shows_the_columns_that_moved_most(finished):
    place = finished / read_json(finished / "result.json")["artifacts"]["drift"]
    numbers = read_json(place / "drift.json")
    distances = [column["ks"] for column in numbers["columns"]]
    assert distances == sorted(distances, reverse=True)
    assert all(column["drifted"] in (True, False) for column in numbers["columns"])
    assert numbers["columns"][0]["feature"] in (place / "drift.html").read_text()


def test_refused_cells_are_kept_with_rule_and_reason(finished):
    place = finished / read_json(finished / "result.json")["artifacts"]["quality"]
    refused = pl.read_parquet(place / "quarantine.parquet")
    assert refused.height == sum(rule["refused"] for rule in read_json(place / "quality.json")["rules"])
    assert refused["reason"].null_count() == 0


@contextmanager
def running(state: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m pipelines incident-training`, its progress on stderr."""
    command = [sys.executable, "-m", "pipelines", "incident-training", "--state", str(state), "--policy", str(small_policy(state)), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[str], step: str) -> list[str]:
    """Progress lines up to the one that tells of `step`."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(" ".join(line.split()))
        if lines[-1].startswith(step):
            return lines
    raise AssertionError(f"{step} never came: {lines}")


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_running_and_the_next_one_goes_on_from_the_cache(tmp_path):
    with running(tmp_path, "--source", SOURCE) as first:
        lines_until(first, "featurize")
        begun = descendants(first.pid)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        gone, alive = psutil.wait_procs(begun, timeout=20)
    assert gone
    assert alive == []
    assert not list(tmp_path.glob("runs/*/result.json"))
    with running(tmp_path, "--source", SOURCE) as second:
        lines = lines_until(second, "split")
        second.send_signal(signal.SIGINT)
        _, rest = second.communicate(timeout=60)
    assert [line for line in lines if "cached" in line] == ["ingest cached", "validate cached", "featurize cached"]
    assert second.returncode == 130
    assert "the same command goes on from there" in rest
    assert "Traceback" not in rest
    assert not list(tmp_path.glob("releases/*"))


def test_a_failed_step_says_its_sentence_and_nothing_half_written_stays(tmp_path):
    table = tmp_path / "fleet.csv"
    rows = [f"2026-03-02T{minute // 60:02}:{minute % 60:02}:00Z,web-01,0.{minute % 90 + 10}\n" for minute in range(900)]
    table.write_text("time,server,system.cpu.utilization\n" + "".join(rows))
    with running(tmp_path, "--source", f"csv:{table}", "-o", "json") as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith(f"Step label: csv:{table} has no labels") or "has no labels" in err.splitlines()[-1]
    assert not list(tmp_path.glob("runs/*/artifacts/*/label/labels"))
    (note,) = tmp_path.glob("runs/*/run.json")
    assert read_json(note)["status"] == "failed"


def test_progress_stays_off_stdout_and_wrong_usage_is_exit_code_two(tmp_path):
    with running(tmp_path, "--families", "astrology", "-o", "json") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "Choose among logistic_regression" in err
