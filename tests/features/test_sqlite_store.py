"""The online store on SQLite: what a file can do wrong. What every store does: test_online_store.py."""

import stat
from pathlib import Path

import pytest
from test_online_store import BOUND, CLOCK, row

from presage.errors import StateError
from presage.features.store import OnlineStore, open_online_store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'online' / 'online.db'}"


@pytest.fixture
def store(url: str) -> OnlineStore:
    store = open_online_store(url)
    store.put_service("incident", BOUND, "simulated", CLOCK)
    return store


def test_a_reader_says_when_there_is_no_store_yet(url: str, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"online\.db: there is no online store here yet\. Start the telemetry stream"):
        open_online_store(url, read_only=True)
    assert not (tmp_path / "online").exists()


def test_a_store_that_was_closed_in_order_can_still_be_read(store: OnlineStore, url: str) -> None:
    store.write("incident", [row()])
    store.close()
    assert open_online_store(url, read_only=True).entities("incident") == ["server-01"]


def test_its_files_are_the_owners_alone(store: OnlineStore, tmp_path: Path) -> None:
    store.write("incident", [row()])
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "online").iterdir()} == {0o600}


def test_a_full_disk_is_one_sentence_and_changes_nothing(store: OnlineStore) -> None:
    store.write("incident", [row()])
    store._connection.execute("PRAGMA max_page_count=6")  # type: ignore[attr-defined]  # SQLite's own "disk full"
    with pytest.raises(StateError, match="no space left on the device"):
        store.write("incident", [row(f"server-{number}", time=900.0) for number in range(200)])
    assert store.entities("incident") == ["server-01"]


def test_a_foreign_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_text("no database " * 200)
    for read_only in (True, False):
        with pytest.raises(StateError, match=r"online\.db: not a sound SQLite file"):
            open_online_store(f"sqlite:{tmp_path / 'online.db'}", read_only)


def test_a_row_of_another_format_is_refused(store: OnlineStore) -> None:
    store.write("incident", [row()])
    store._connection.execute("UPDATE online_row SET blob = CAST(x'09' || substr(blob, 2) AS BLOB)")  # type: ignore[attr-defined]
    with pytest.raises(StateError, match="has format 9, this program reads 1"):
        store.read("incident", ["server-01"])


def test_a_reader_unpacks_a_row_once_between_two_writes_and_never_gives_an_old_one(store: OnlineStore, url: str) -> None:
    store.write("incident", [row(), row("server-02")])
    reader = open_online_store(url, read_only=True)
    for time in (900.0, 1200.0, 1500.0):
        first, again = reader.read("incident", ["server-01"]), reader.read("incident", ["server-02", "server-01", "no such"])
        assert first[0] is not None and first[0] is again[1] and again[2] is None
        store.write("incident", [row(time=time)])
        [newest] = reader.read("incident", ["server-01"])
        assert newest is not None and newest.time == time
    store.write("incident", [row("no such", time=1800.0)])
    assert reader.read("incident", ["no such"])[0] is not None


def test_what_a_reader_keeps_is_bounded_whatever_is_asked_for(store: OnlineStore, url: str) -> None:
    from presage.features import sqlite_store

    store.write("incident", [row()])
    reader = open_online_store(url, read_only=True)
    assert isinstance(reader, sqlite_store.SqliteOnlineStore)
    for number in range(3 * sqlite_store._KEPT):
        reader.read("incident", [f"stranger-{number}"])
    assert len(reader._known) <= sqlite_store._KEPT
    many = ["server-01", *(f"other-{number}" for number in range(2 * sqlite_store._KEPT)), "server-01"]
    rows = reader.read("incident", many)
    assert rows[0] is not None and rows[0] is rows[-1] and len(rows) == len(many) and len(reader._known) <= sqlite_store._KEPT
    assert reader.read("incident", ["server-01"])[0] is not None


def test_the_writer_reads_what_it_wrote_itself(store: OnlineStore) -> None:
    for time in (600.0, 900.0):
        store.write("incident", [row(time=time)])
        [read] = store.read("incident", ["server-01"])
        assert read is not None and read.time == time


def test_a_store_that_was_closed_says_so_in_a_sentence(store: OnlineStore, url: str) -> None:
    store.write("incident", [row(), row("server-02")])
    reader = open_online_store(url, read_only=True)
    reader.close()
    for asked in (["server-01"], ["server-01", "server-02"]):
        with pytest.raises(StateError):
            reader.read("incident", asked)
