"""The online store, whichever it is: what was written is read, the newest row stays, a write is whole. One suite for SQLite and for Redis."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builders.redis_server import RedisServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from presage.errors import StateError, UsageError
from presage.features.declaration import BoundView, load_view
from presage.features.store import OnlineRow, OnlineStore, open_online_store
from presage.telemetry.clock import StreamClock

HERE = Path(__file__).parent
BOUND = load_view(HERE.parents[1] / "feature_store" / "views" / "server_windows.yaml").bind(["cpu", "memory"])
CLOCK = StreamClock(event_origin=10_000.0, wall_origin=500.0, speed=60.0)


def row(entity: str = "server-01", time: float = 600.0, value: float = 1.5, bound: BoundView = BOUND) -> OnlineRow:
    values = np.full(len(bound.names), value, np.float32)
    values[1] = np.nan
    history = np.arange(72 * 2, dtype=np.float32).reshape(72, 2)
    return OnlineRow(entity, time, bound.version, values, np.array([1.0, 0.5, 0.25], np.float32), history)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'online' / 'online.db'}"
    server: RedisServer = request.getfixturevalue("redis")
    server.ask("FLUSHALL")
    return server.url("unix")


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


def test_a_reader_cannot_write(store: OnlineStore, url: str) -> None:
    with pytest.raises(StateError, match="cannot be written to"):
        open_online_store(url, read_only=True).write("incident", [row()])


def test_an_unknown_kind_of_store_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="Write sqlite:PATH"):
        open_online_store("redis:localhost")


WRITER = """
import sys
sys.path[:0] = sys.argv[2:]
from test_online_store import row
from presage.features.store import open_online_store
store = open_online_store(sys.argv[1])
for tick in range(1, 400):
    store.write("incident", [row(f"server-{number}", time=float(tick), value=float(tick)) for number in range(8)])
    if tick == 1:
        print("writing", flush=True)
"""


@pytest.mark.long
def test_readers_see_whole_rows_that_only_grow_younger_while_another_process_writes(store: OnlineStore, url: str) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url, str(HERE), str(HERE.parent)], stdout=subprocess.PIPE, text=True)
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


def test_a_row_without_a_time_is_refused_and_nothing_is_written(store: OnlineStore) -> None:
    with pytest.raises(StateError, match="server-02 has no time"):
        store.write("incident", [row(), row("server-02", time=float("nan"))])
    assert store.entities("incident") == []


def test_services_do_not_see_each_other_s_rows(store: OnlineStore) -> None:
    store.put_service("other", BOUND, "host", CLOCK)
    store.write("incident", [row("a")])
    store.write("other", [row("b", value=2.0)])
    store.put_service("other", BOUND, "simulated", CLOCK)  # another source: its own rows alone are dropped
    assert (store.entities("incident"), store.entities("other")) == (["a"], [])


SMALLER = BOUND.view.bind(["cpu"])
NAMES = some.sampled_from(["a", "b", "ä", "server 01", "{x}", "0", ":times"])
TIMES = some.sampled_from([-1.0, 0.0, 600.0, 600.0000000001, 9_999.0, 10_000.0, 10_001.0, 1.7e9 + 1 / 3, float("inf")])
ROWS = some.lists(some.tuples(NAMES, TIMES, some.integers(0, 9), some.booleans()), max_size=6)
CLOCKS = some.sampled_from([CLOCK, StreamClock(600.0, 7.0, 1.0), StreamClock(600.0000000001, 7.5, 1.0), StreamClock(1e10, 0.1, 3.3)])
STEPS = some.one_of(
    some.tuples(some.just("write"), some.sampled_from(["one", "two"]), ROWS),
    some.tuples(some.just("put"), some.sampled_from(["one", "two"]), some.tuples(some.booleans(), some.sampled_from(["simulated", "host"]), CLOCKS)),
    some.tuples(some.just("read"), some.sampled_from(["one", "two", "three"]), some.lists(NAMES, max_size=4)),
)


def done(store: OnlineStore, step: tuple[str, str, object]) -> object:
    """What a store answers to one step, in a form that can be compared."""
    kind, service, what = step
    if kind == "write":
        return store.write(service, [row(name, time, float(value), SMALLER if small else BOUND) for name, time, value, small in what])  # type: ignore[attr-defined]
    if kind == "put":
        small, source, clock = what  # type: ignore[misc]
        return store.put_service(service, SMALLER if small else BOUND, source, clock)
    description = store.describe(service)
    about = description and (description.bound, description.source, description.clock)
    rows = store.read(service, what)  # type: ignore[arg-type]
    return about, store.entities(service), [
        found and (found.entity, found.time, found.version, found.values.tobytes(), found.coverage.tobytes(), found.history.tobytes()) for found in rows
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=some.lists(STEPS, max_size=12))
def test_both_stores_answer_the_same_to_whatever_is_done(redis: RedisServer, tmp_path: Path, steps: list[tuple[str, str, object]]) -> None:
    (tmp_path / "online.db").unlink(missing_ok=True)
    redis.ask("FLUSHALL")
    file, server = open_online_store(f"sqlite:{tmp_path / 'online.db'}"), open_online_store(redis.url("unix"))
    try:
        for step in (*steps, *(("read", service, ["a", "b", "ä"]) for service in ("one", "two"))):
            assert done(file, step) == done(server, step), step
    finally:
        file.close()
        server.close()
        for beside in tmp_path.glob("online.db*"):
            beside.unlink()
