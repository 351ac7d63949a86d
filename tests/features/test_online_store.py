"""The online store: what was written is read, the newest row stays, and nobody else reads the file."""

import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from presage.errors import StateError, UsageError
from presage.features.declaration import BoundView, load_view
from presage.features.store import OnlineRow, OnlineStore, open_online_store
from presage.telemetry.clock import StreamClock

BOUND = load_view(Path(__file__).parents[2] / "feature_store" / "views" / "server_windows.yaml").bind(["cpu", "memory"])
CLOCK = StreamClock(event_origin=10_000.0, wall_origin=500.0, speed=60.0)


def row(entity: str = "server-01", time: float = 600.0, value: float = 1.5, bound: BoundView = BOUND) -> OnlineRow:
    values = np.full(len(bound.names), value, np.float32)
    values[1] = np.nan
    history = np.arange(72 * 2, dtype=np.float32).reshape(72, 2)
    return OnlineRow(entity, time, bound.version, values, np.array([1.0, 0.5, 0.25], np.float32), history)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'online' / 'online.db'}"


@pytest.fixture
def store(url: str) -> OnlineStore:
    store = open_online_store(url)
    store.put_service("incident", BOUND, "simulated", CLOCK)
    return store


def test_a_row_is_read_back_bit_for_bit(store: OnlineStore) -> None:
    assert store.write("incident", [row()]) == 1
    [found] = store.read("incident", ["server-01"])
    assert found is not None
    assert (found.entity, found.time, found.version) == ("server-01", 600.0, BOUND.version)
    for part in ("values", "coverage", "history"):
        assert getattr(found, part).tobytes() == getattr(row(), part).tobytes()
        assert getattr(found, part).shape == getattr(row(), part).shape


def test_an_unknown_entity_is_none_in_its_place(store: OnlineStore) -> None:
    store.write("incident", [row("a"), row("c")])
    assert [found and found.entity for found in store.read("incident", ["c", "b", "a"])] == ["c", None, "a"]
    assert store.entities("incident") == ["a", "c"]
    assert store.read("other", ["a"]) == [None]


def test_an_older_row_never_replaces_a_newer_one(store: OnlineStore) -> None:
    store.write("incident", [row(time=900.0, value=9.0)])
    assert store.write("incident", [row(time=600.0, value=6.0), row("server-02", time=600.0)]) == 1
    [kept] = store.read("incident", ["server-01"])
    assert kept is not None
    assert (kept.time, kept.values[0]) == (900.0, 9.0)
    assert store.write("incident", [row(time=900.0, value=10.0)]) == 1  # the same tick, computed again


def test_the_service_says_what_its_rows_mean(store: OnlineStore) -> None:
    description = store.describe("incident")
    assert description is not None
    assert (description.bound, description.source, description.clock) == (BOUND, "simulated", CLOCK)
    assert store.describe("other") is None


def test_rows_of_another_declaration_or_source_are_dropped(store: OnlineStore) -> None:
    other = BOUND.view.bind(["cpu"])
    for bound, source in ((other, "simulated"), (other, "host")):
        store.write("incident", [row(bound=bound)])
        store.put_service("incident", bound, source, CLOCK)
        assert store.entities("incident") == []


def test_a_stream_that_starts_over_loses_the_rows_it_has_not_reached(store: OnlineStore) -> None:
    store.write("incident", [row("a", time=600.0), row("b", time=20_000.0)])
    store.put_service("incident", BOUND, "simulated", CLOCK)
    assert store.entities("incident") == ["a"]


def test_a_reader_says_when_there_is_no_store_yet(url: str, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"online\.db: there is no online store here yet\. Start the telemetry stream"):
        open_online_store(url, read_only=True)
    assert not (tmp_path / "online").exists()


def test_a_reader_cannot_write(store: OnlineStore, url: str) -> None:
    with pytest.raises(StateError, match="cannot be written to"):
        open_online_store(url, read_only=True).write("incident", [row()])


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


def test_an_unknown_kind_of_store_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="Write sqlite:PATH"):
        open_online_store("redis:localhost")


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from test_online_store import row
from presage.features.store import open_online_store
store = open_online_store(sys.argv[1])
for tick in range(1, 400):
    store.write("incident", [row(f"server-{number}", time=float(tick), value=float(tick)) for number in range(8)])
    if tick == 1:
        print("writing", flush=True)
"""


def test_readers_see_whole_rows_that_only_grow_younger_while_another_process_writes(store: OnlineStore, url: str) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    reader, newest = open_online_store(url, read_only=True), 0.0
    while newest < 399:
        for found in reader.read("incident", [f"server-{number}" for number in range(8)]):
            assert found is not None
            assert found.time >= newest or found.entity != "server-0"
            assert found.values[0] == found.values[-1] == found.time
            newest = max(newest, found.time) if found.entity == "server-0" else newest
    assert writer.wait() == 0


def test_a_row_of_another_format_is_refused(store: OnlineStore) -> None:
    store.write("incident", [replace(row())])
    store._connection.execute("UPDATE online_row SET blob = CAST(x'09' || substr(blob, 2) AS BLOB)")  # type: ignore[attr-defined]
    with pytest.raises(StateError, match="has format 9, this program reads 1"):
        store.read("incident", ["server-01"])
