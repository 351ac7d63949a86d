"""Copies in a warehouse: exactly what the log holds, however often and wherever the synchronisation dies."""

import os
import signal
import subprocess
import sys

import polars as pl
import pytest
from builders.logs import DAY, ROOT, decision, snapshot, write_log
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.log import iceberg
from inference.log.folder import files
from inference.log.iceberg import open_catalogue, sync_iceberg
from inference.log.parquet_copy import copy_parquet
from presage.errors import InputError, StateError


def address(folder):
    return f"sqlite:///{folder / 'catalog.db'}"


def in_table(folder, table="decisions"):
    return open_catalogue(address(folder), None, {}).load_table(f"presage.{table}").scan().to_arrow()


def ids(log):
    return sorted(name for file in files(log, "decisions") for name in pl.read_parquet(file.path, hive_partitioning=False)["prediction_id"])


def batch(*numbers, day=0):
    return [snapshot("server-1"), *(decision(number, time=1_700_000_000.0 + day * DAY) for number in numbers)]


def test_a_table_holds_the_log_s_rows_as_they_are_parted_by_day(tmp_path):
    log = write_log(tmp_path, batch(1, 2), batch(3, day=1))
    synced = sync_iceberg(log, address(tmp_path), None, {})
    assert [(table.table, table.added, table.rows) for table in synced.tables] == [("decisions", 2, 3), ("snapshots", 2, 2)]
    table = open_catalogue(address(tmp_path), None, {}).load_table("presage.decisions")
    assert [field.name for field in table.spec().fields] == ["day"]
    there = pl.from_arrow(table.scan().to_arrow()).sort("prediction_id")
    here = pl.concat([pl.read_parquet(file.path, hive_partitioning=False) for file in files(log, "decisions")]).sort("prediction_id")
    assert there.select(here.columns).equals(here)
    assert there["day"].cast(pl.String()).to_list() == ["2023-11-14", "2023-11-14", "2023-11-15"] and there["region"].unique().to_list() == ["eu-central"]


def test_a_second_run_adds_nothing_and_a_later_one_only_what_is_new(tmp_path):
    log = write_log(tmp_path, batch(1, 2))
    for expected in ([(1, 2), (1, 1)], [(0, 0), (0, 0)]):
        assert [(table.added, table.rows) for table in sync_iceberg(log, address(tmp_path), None, {}).tables] == expected
        assert [(table.added, table.rows) for table in copy_parquet(log, tmp_path / "copy").tables] == expected
    write_log(tmp_path, batch(3))
    assert sync_iceberg(log, address(tmp_path), None, {}).tables[0].rows == copy_parquet(log, tmp_path / "copy").tables[0].rows == 1
    assert sorted(in_table(tmp_path)["prediction_id"].to_pylist()) == ids(log) == ids(tmp_path / "copy")


def test_a_file_that_was_shipped_again_with_more_records_replaces_its_rows(tmp_path):
    log = write_log(tmp_path, batch(1, 2))
    sync_iceberg(log, address(tmp_path), None, {})
    copy_parquet(log, tmp_path / "copy")
    more = write_log(tmp_path / "again", batch(1, 2, 3, 4))
    [old], [new] = files(log, "decisions"), files(more, "decisions")
    old.path.write_bytes(new.path.read_bytes())
    sync_iceberg(log, address(tmp_path), None, {})
    copy_parquet(log, tmp_path / "copy")
    assert sorted(in_table(tmp_path)["prediction_id"].to_pylist()) == ids(log) == ids(tmp_path / "copy") == [f"id-{number}-0" for number in (1, 2, 3, 4)]


def test_a_column_that_came_later_is_added_and_null_in_older_rows(tmp_path):
    log = write_log(tmp_path, batch(1), batch(2, day=1))
    first, second = files(log, "decisions")
    new = second.path.read_bytes()
    for file in (first, second):
        pl.read_parquet(file.path, hive_partitioning=False).drop("distance", "doubts").write_parquet(file.path)
    sync_iceberg(log, address(tmp_path), None, {})
    assert "doubts" not in in_table(tmp_path).column_names
    second.path.write_bytes(new)
    write_log(tmp_path, batch(3, day=2))
    sync_iceberg(log, address(tmp_path), None, {})
    rows = {row["prediction_id"]: row["doubts"] for row in in_table(tmp_path).select(["prediction_id", "doubts"]).to_pylist()}
    assert rows == {"id-1-0": None, "id-2-0": [], "id-3-0": []}


@pytest.mark.slow
def test_two_that_synchronise_at_once_add_nothing_twice(tmp_path):
    log = write_log(tmp_path, *(batch(number, day=number % 5) for number in range(10)))
    command = [sys.executable, "-m", "inference.log", "sync", f"--log={log}", f"--to=iceberg:{address(tmp_path)}"]
    sync_iceberg(write_log(tmp_path / "other", batch(100)), address(tmp_path), None, {})  # both find tables
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) for _ in range(2)]
    done = [(process.communicate(timeout=120), process.returncode) for process in running]
    assert any(code == 0 for _, code in done), done
    sync_iceberg(log, address(tmp_path), None, {})
    assert sorted(in_table(tmp_path)["prediction_id"].to_pylist()) == sorted([*ids(log), "id-100-0"])


def test_somebody_who_commits_between_looking_and_adding_makes_it_look_again(tmp_path, monkeypatch):
    log = write_log(tmp_path, batch(1), batch(2))
    sync_iceberg(write_log(tmp_path / "other", batch(100)), address(tmp_path), None, {})
    look, raced = iceberg._rows, []

    def interrupted(part):
        if not raced:
            raced.append(True)
            sync_iceberg(log, address(tmp_path), None, {})
        return look(part)

    monkeypatch.setattr(iceberg, "_rows", interrupted)
    sync_iceberg(log, address(tmp_path), None, {})
    assert sorted(in_table(tmp_path)["prediction_id"].to_pylist()) == ["id-1-0", "id-100-0", "id-2-0"]


def written(*folders):
    """How many files lie there, those half-written included."""
    return sum(len(names) for folder in folders for _, _, names in os.walk(folder))


@pytest.mark.long
@pytest.mark.parametrize("kind", [pytest.param("iceberg", marks=pytest.mark.slow), "parquet"])
def test_killed_while_it_writes_and_repeated_every_row_is_there_once(tmp_path, kind):
    """SIGKILL of the real process, each time a few files farther; then it is let through, and repeated once more."""
    log = write_log(tmp_path, *(batch(number, day=number) for number in range(4)))
    places = (tmp_path / "warehouse", tmp_path / "copy")
    to = f"iceberg:{address(tmp_path)}" if kind == "iceberg" else f"parquet:{tmp_path / 'copy'}"
    command = [sys.executable, "-m", "inference.log", "sync", f"--log={log}", f"--to={to}"]
    kills = 0
    for farther in (1, 3):
        before = written(*places)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
        while process.poll() is None and written(*places) < before + farther:
            pass  # no pause: the moment is what counts
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        landed = in_table(tmp_path)["prediction_id"].to_pylist() if kind == "iceberg" else ids(tmp_path / "copy")
        assert sorted(landed) == ids(log)


class Death(Exception):
    """The process ends here."""


@pytest.mark.long
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_wherever_it_dies_inside_it_has_added_whole_files_and_going_on_completes_them(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("warehouse")
    log = write_log(folder, *(batch(2 * number, 2 * number + 1, day=number) for number in range(3)))
    points = [(name, getattr(iceberg, name)) for name in ("_rows", "_made", "_conform", "_there", "_snapshot")]
    dies_at = data.draw(st.integers(0, 14))
    calls = 0

    def counted(work):
        def run(*arguments):
            nonlocal calls
            calls += 1
            if calls == dies_at + 1:
                raise Death
            return work(*arguments)

        return run

    try:
        for name, work in points:
            setattr(iceberg, name, counted(work))
        sync_iceberg(log, address(folder), None, {})
    except Death:
        pass
    finally:
        for name, work in points:
            setattr(iceberg, name, work)
    by_file = {}
    if open_catalogue(address(folder), None, {}).table_exists("presage.decisions"):
        for row in in_table(folder).select(["log_file", "prediction_id"]).to_pylist():
            by_file.setdefault(row["log_file"], []).append(row["prediction_id"])
    assert all(len(rows) == 2 for rows in by_file.values())
    sync_iceberg(log, address(folder), None, {})
    assert sorted(in_table(folder)["prediction_id"].to_pylist()) == ids(log)


@pytest.mark.parametrize("catalogue", ["mysql://x/y", "sqlite:relative", "http://catalog"])
def test_a_catalogue_of_another_kind_is_refused(tmp_path, catalogue):
    with pytest.raises(InputError, match="no SQL catalogue"):
        sync_iceberg(write_log(tmp_path, batch(1)), catalogue, None, {})


def test_a_catalogue_without_its_driver_is_said_without_its_password(tmp_path):
    with pytest.raises(InputError, match="cannot be opened") as refused:
        sync_iceberg(write_log(tmp_path, batch(1)), "postgresql+psycopg://ann:secret@127.0.0.1:1/none", str(tmp_path / "warehouse"), {})
    assert "secret" not in refused.value.message


def test_a_copy_into_the_log_itself_is_refused(tmp_path):
    log = write_log(tmp_path, batch(1))
    for target in (log, log / "copy", tmp_path):
        with pytest.raises(InputError, match="lie in one another"):
            copy_parquet(log, target)


def test_a_log_that_changes_under_the_copy_is_said(tmp_path, monkeypatch):
    log = write_log(tmp_path, batch(1))
    digests = iter("abcdefgh")
    monkeypatch.setattr(iceberg, "sha256_file", lambda path: next(digests))
    with pytest.raises(StateError, match="shipped again just now"):
        sync_iceberg(log, address(tmp_path), None, {})
