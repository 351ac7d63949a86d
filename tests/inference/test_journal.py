"""The journal and its shipper: nothing answered is lost, nothing is shipped twice."""

import os
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from builders.journals import DAY, NOON, WRITER, decision, logged
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.journal.segments import read_position, read_segment, segments, write_position
from inference.journal.ship import ship
from inference.journal.writer import Journal
from presage.errors import InputError, StateError


def test_the_log_holds_exactly_the_journals_records_by_day_and_region(tmp_path):
    journal = Journal.open(tmp_path / "journal", WRITER)
    journal.write([decision(0), decision(1, NOON + DAY)])
    journal.write([decision(2)])
    assert journal.lag() == 3
    assert ship(journal.folder, tmp_path / "log") == 3
    assert journal.lag() == 0 and ship(journal.folder, tmp_path / "log") == 0
    files = (tmp_path / "log" / "decisions").rglob("*.parquet")
    days = {path.parent.parent.name: set(pl.read_parquet(path, hive_partitioning=False)["prediction_id"]) for path in files}
    assert days == {"day=2023-11-14": {"id-0", "id-2"}, "day=2023-11-15": {"id-1"}}
    table = pl.read_parquet(tmp_path / "log" / "decisions" / "**/*.parquet", hive_partitioning=True)
    assert table["region"].unique().to_list() == ["eu-central"] and table["model"].unique().to_list() == ["incident"]
    assert table["reasons"].to_list()[0] == [{"feature": "cpu", "contribution": 0.5}] and table.schema["time"] == pl.Datetime("us", "UTC")
    journal.close()


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_a_shipper_that_dies_anywhere_adds_no_record_twice_and_loses_none(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("ship")
    journal = Journal.open(folder / "journal", WRITER, segment_bytes=data.draw(st.integers(200, 2000)))
    count = 0
    for _ in range(data.draw(st.integers(1, 6))):
        for _ in range(data.draw(st.integers(1, 5))):
            batch = data.draw(st.integers(1, 4))
            journal.write([decision(count + index) for index in range(batch)])
            count += batch
        before = read_position(journal.folder)
        kept = {path.name: path.read_bytes() for _, path in segments(journal.folder)}
        ship(journal.folder, folder / "log")
        if data.draw(st.booleans()):  # it died after writing files, before its position was kept: segments are still there then
            for name, content in kept.items():
                (journal.folder / name).write_bytes(content)
            write_position(journal.folder, before)
            ship(journal.folder, folder / "log")
    assert sorted(logged(folder / "log")) == sorted(f"id-{number}" for number in range(count))
    assert journal.lag() == 0
    journal.close()


def test_an_unfinished_last_write_is_not_read_and_the_next_process_carries_on(tmp_path):
    journal = Journal.open(tmp_path / "journal", WRITER)
    journal.write([decision(0)])
    journal.write([decision(1)])
    journal.close()
    _, path = segments(tmp_path / "journal")[-1]
    os.truncate(path, path.stat().st_size - 3)
    again = Journal.open(tmp_path / "journal", WRITER)
    assert again.ordinal == 1
    again.write([decision(2)])
    ship(again.folder, tmp_path / "log")
    assert logged(tmp_path / "log") == ["id-0", "id-2"] and again.lag() == 0
    again.close()


def test_a_damaged_segment_in_the_middle_stops_the_shipper_with_its_name(tmp_path):
    journal = Journal.open(tmp_path / "journal", WRITER, segment_bytes=100)
    for number in range(3):
        journal.write([decision(number)])
    journal.close()
    _, path = segments(tmp_path / "journal")[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or missing"):
        ship(tmp_path / "journal", tmp_path / "log")
    assert path.exists() and logged(tmp_path / "log") == ["id-0"]


def test_a_second_writer_is_refused(tmp_path):
    journal = Journal.open(tmp_path / "journal", WRITER)
    with pytest.raises(StateError, match="another server writes this journal"):
        Journal.open(tmp_path / "journal", WRITER)
    journal.close()
    Journal.open(tmp_path / "journal", WRITER).close()


def test_only_its_owner_may_read_the_journal(tmp_path):
    journal = Journal.open(tmp_path / "journal", WRITER)
    journal.write([decision(0)])
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "journal").iterdir())
    journal.close()


def test_a_failed_write_keeps_none_of_its_records_and_the_next_one_all(tmp_path):
    """The file size limit stands in for a full disk: the kernel takes a part of the write, then refuses."""
    program = """
import resource, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from builders.journals import WRITER, decision
from inference.journal.writer import Journal
from presage.errors import StateError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal.open(Path(sys.argv[1]), WRITER)
journal.write([decision(0)])
size = next(Path(sys.argv[1]).glob("*.journal")).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, resource.RLIM_INFINITY))
for _ in range(3):
    try:
        journal.write([decision(1), decision(2)])
        print("kept")
    except StateError as error:
        print(error.message.split("(")[0])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.write([decision(3)])
print(journal.ordinal)
"""
    folder = tmp_path / "journal"
    done = subprocess.run([sys.executable, "-c", program, str(folder), str(Path(__file__).parents[1])], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{folder}: the journal cannot be written "] * 3 + ["2"]
    ship(folder, tmp_path / "log")
    assert logged(tmp_path / "log") == ["id-0", "id-3"]


def test_what_is_read_back_is_what_was_written(tmp_path):
    journal = Journal.open(tmp_path / "journal", WRITER, segment_bytes=500)
    rng = random.Random(3)
    written = [[decision(number * 10 + index) for index in range(rng.randint(1, 4))] for number in range(8)]
    for batch in written:
        journal.write(batch)
    journal.close()
    found = [frame.records for _, path in segments(tmp_path / "journal") for frame in read_segment(path)[1]]
    assert found == written
    assert {read_segment(path)[0] for _, path in segments(tmp_path / "journal")} == {WRITER}


def test_shipping_by_hand_says_what_it_did_and_what_is_wrong(tmp_path):
    journal = Journal.open(tmp_path / "journal", WRITER)
    journal.write([decision(0)])
    journal.close()
    command = [sys.executable, "-m", "inference.journal.ship"]
    done = subprocess.run([*command, tmp_path / "journal", tmp_path / "log"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1 records shipped\n")
    wrong = subprocess.run([*command, tmp_path / "nowhere", tmp_path / "log"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1 and "no journal lies here" in wrong.stderr and "Traceback" not in wrong.stderr
