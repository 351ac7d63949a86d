"""The consumer alone: what becomes of a reading, when a tick is applied, and what a restart replays."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from inference.stream.metrics import StreamMetrics
from inference.stream.refresh import FeatureRefresh
from inference.stream.ticks import AppliedTicks
from presage.events.log import open_event_log
from presage.features.declaration import load_view
from presage.features.store import OnlineRow, open_online_store
from presage.telemetry.clock import StreamClock
from presage.telemetry.schema import Reading

DECLARED = load_view(Path(__file__).parents[2] / "feature_store" / "views" / "server_windows.yaml")
MINUTE = timedelta(minutes=1)
VIEW = replace(DECLARED, windows=(15 * MINUTE, 60 * MINUTE), lags=(20 * MINUTE,), history=4)
BOUND = VIEW.bind(["cpu"])
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Street:
    """A log, a store and a consumer whose wall clock the test turns: at `at` minutes after START, in real time."""

    folder: Path
    at: float = 0.0

    def __post_init__(self) -> None:
        self.pending: list[tuple[float, float, str]] = []
        self.log = open_event_log(str(self.folder / "events"), "telemetry", partitions=2)
        self.store = open_online_store(f"sqlite:{self.folder / 'online.db'}")
        self.restart()

    def restart(self) -> None:
        """A new process: nothing left but the files."""
        self.ticks = AppliedTicks(open_event_log(str(self.folder / "events"), "ticks", partitions=1))
        clock = StreamClock(START.timestamp(), START.timestamp(), 1.0)
        self.metrics = StreamMetrics("test", VIEW.name, lambda: 0.0)
        self.published: list[OnlineRow] = []
        self.refresh = FeatureRefresh(BOUND, MINUTE, clock, log=self.log, ticks=self.ticks, store=self.store, service="incident",
                                      metrics=self.metrics, lateness=5.0, publish=self.published.extend,
                                      wall=lambda: START.timestamp() + 60 * self.at)  # fmt: skip

    def report(self, *minutes: float, cpu: float = 1.0, entity: str = "a") -> None:
        self.log.append([(entity, msgspec.msgpack.encode(Reading(entity, START + minute * MINUTE, {"cpu": cpu}, "test"))) for minute in minutes])

    def flush(self) -> None:
        """Append what is pending (minute, cpu, entity), in one batch."""
        self.log.append([(entity, msgspec.msgpack.encode(Reading(entity, START + m * MINUTE, {"cpu": cpu}, "test"))) for m, cpu, entity in self.pending])
        self.pending.clear()

    def append(self, value: bytes, entity: str = "a") -> None:
        self.log.append([(entity, value)])

    def step(self, at: float) -> float:
        self.at = at
        return self.refresh.step()

    def row(self, entity: str = "a") -> OnlineRow:
        [row] = self.store.read("incident", [entity])
        assert row is not None
        return row

    def value(self, name: str, entity: str = "a") -> float:
        return float(self.row(entity).values[BOUND.names.index(name)])

    def minute(self, entity: str = "a") -> float:
        return (self.row(entity).time - START.timestamp()) / 60

    def counted(self) -> dict[str, int]:
        return {outcome: count for outcome in ("applied", "late", "duplicate", "dead_letter") if (count := self.metrics.counted(outcome))}


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    street = Street(tmp_path)
    yield street
    street.log.close()
    street.store.close()


def test_a_tick_is_applied_when_the_watermark_has_passed_it_and_not_before(street: Street) -> None:
    street.report(*range(-59, 6))
    pause = street.step(at=5.05)  # 3 s after the tick; it waits 5 s for its events
    assert street.minute() == 0
    assert pause == pytest.approx(2, abs=0.01)
    street.step(at=5.09)
    assert street.minute() == 5
    assert street.value("cpu.mean_1h") == 1.0


def test_the_rows_of_a_tick_are_told_as_they_were_stored(street: Street) -> None:
    street.report(*range(-59, 6))
    street.report(*range(-3, 6), entity="b")
    street.step(at=5.09)
    told = {row.entity: row for row in street.published}
    assert sorted(told) == ["a", "b"] == sorted(row.entity for row in street.published)
    for entity, row in told.items():
        stored = street.row(entity)
        assert (row.time, row.version) == (stored.time, stored.version)
        for one, other in ((row.values, stored.values), (row.coverage, stored.coverage), (row.history, stored.history)):
            np.testing.assert_array_equal(one, other)


def test_a_tick_waits_for_a_source_that_is_still_filling_back(street: Street) -> None:
    street.report(-50)
    street.step(at=5.5)
    assert street.store.entities("incident") == []
    street.report(*range(-49, 6))
    street.step(at=5.5)
    assert street.minute() == 5


def test_a_late_event_is_counted_and_not_applied(street: Street) -> None:
    street.report(*range(-20, 6))
    street.step(at=5.5)
    street.report(2.5, cpu=1000.0)
    street.report(6)
    street.step(at=10.5)
    street.step(at=11.6)  # nothing was heard of for a while: the clock alone goes on
    assert street.minute() == 10
    assert street.value("cpu.max_15m") == 1.0
    assert street.counted() == {"applied": 27, "late": 1}


def test_an_event_is_late_by_the_applied_tick_not_by_its_order(street: Street) -> None:
    street.report(*range(-20, 5), 6)
    street.report(5, cpu=7.0)
    street.step(at=6.5)
    assert street.value("cpu.last_15m") == 7.0
    assert street.counted() == {"applied": 27}


def test_a_duplicate_is_counted_and_the_first_one_stays(street: Street) -> None:
    street.report(*range(-20, 6))
    street.report(5, cpu=99.0)
    street.step(at=5.5)
    assert street.value("cpu.last_15m") == 1.0
    assert street.counted() == {"applied": 26, "duplicate": 1}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1 no msgpack",
        msgspec.msgpack.encode({"entity": "a"}),
        msgspec.msgpack.encode(Reading("a", START, {"unknown.metric": 1.0}, "test")),
        msgspec.msgpack.encode(Reading("a", START.replace(tzinfo=None), {"cpu": 1.0}, "test")),
        msgspec.msgpack.encode(Reading("a", START + timedelta(days=9), {"cpu": 1.0}, "test")),
    ],
    ids=["empty", "garbage", "another record", "unknown metric", "no zone", "clock ahead"],
)
def test_what_cannot_be_used_is_a_dead_letter_and_stops_nothing(street: Street, value: bytes) -> None:
    street.append(value)
    street.report(*range(-20, 6))
    street.step(at=5.5)
    assert street.minute() == 5
    assert street.counted() == {"applied": 26, "dead_letter": 1}


def test_a_server_that_falls_silent_loses_coverage_while_the_clock_goes_on(street: Street) -> None:
    street.report(*range(-60, 6))
    street.report(*range(-60, 6), entity="b")
    street.step(at=5.5)
    street.report(*range(6, 11), entity="b")
    street.step(at=10.5)
    np.testing.assert_allclose(street.row("a").coverage, [10 / 15, 55 / 60])
    np.testing.assert_allclose(street.row("b").coverage, [1, 1])


def test_a_server_first_heard_of_after_the_tick_is_known_and_warming_from_zero(street: Street) -> None:
    street.report(1.0)
    street.step(at=2.0)
    assert street.minute() == 0
    assert street.row().coverage.tolist() == [0.0, 0.0]
    assert np.isnan(street.value("cpu.mean_15m"))


def test_the_log_keeps_what_the_next_window_needs_and_no_more(street: Street) -> None:
    street.report(*range(-90, 6))
    street.step(at=5.5)
    [(kept, end)] = [(first, end) for first, end in street.log.bounds().values() if end]
    oldest = msgspec.msgpack.decode(street.log.read(0 if street.log.bounds()[0][1] else 1, kept, limit=1)[0].value, type=Reading)
    assert oldest.time == START + (5 - 60 + 1) * MINUTE
    assert end - kept == 60


def test_a_restart_replays_the_log_and_goes_on_with_the_same_bits(street: Street, tmp_path: Path) -> None:
    straight = Street(tmp_path / "straight")
    noise = np.random.default_rng(3)
    for minute in range(-60, 31):
        for entity in "abc":
            value = float(noise.normal())
            for one in (street, straight):
                one.pending.append((minute, value, entity))
                if minute in (7, 13):
                    one.pending.append((minute - 4.5, 1e6, entity))  # late: its tick has been applied
        if minute in (3, 6, 7, 11, 13, 14, 21, 30):
            for one in (street, straight):
                one.flush()
                one.step(at=minute + 0.5)
        if minute in (3, 14, 21):
            street.restart()
            street.refresh.replay()
    assert street.minute() == straight.minute() == 30
    for entity in "abc":
        for part in ("values", "coverage", "history"):
            assert getattr(street.row(entity), part).tobytes() == getattr(straight.row(entity), part).tobytes()
    assert straight.counted() == {"applied": 273, "late": 6}


def test_applied_ticks_are_forgotten_with_the_readings_they_judge(street: Street) -> None:
    street.report(*range(-60, 1))
    for minute in range(5, 120, 5):
        street.report(*range(minute - 4, minute + 1))
        street.step(at=minute + 0.5)
    assert len(street.ticks._recent) <= 60 / 5 + 2
    street.restart()
    assert street.ticks.last == START + 115 * MINUTE
