"""The simulated fleet, live: goes on where training ended, paced, the same again from any event time."""

import itertools
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from presage.errors import UsageError
from presage.telemetry.metrics import CATALOGUE
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.schema import Reading
from presage.telemetry.simulator.calendar import EPOCH, moment
from presage.telemetry.simulator.source import SimulatedSource
from presage.telemetry.simulator.stream import SimulatedStream
from presage.telemetry.sources import live_source

SOURCE = SimulatedSource("simulated:servers=4,days=2", servers=4, days=2)
END = EPOCH + timedelta(days=2)
HOUR = timedelta(hours=1)


class Wall:
    """A wall clock that moves only when somebody waits."""

    def __init__(self, stream: SimulatedStream) -> None:
        self.now, self.waits = stream.clock.wall_origin, 0
        stream.wall, stream.wait = lambda: self.now, self.wait

    def wait(self, timeout: float) -> bool:
        self.now += timeout
        self.waits += 1
        return False


def collect(stream: SimulatedStream, until: datetime) -> list[Reading]:
    Wall(stream)
    return [reading for batch in itertools.takewhile(lambda batch: batch[0].time <= until, stream) for reading in batch]


def keyed(readings: list[Reading]) -> dict[tuple[str, datetime], dict[str, float]]:
    return {(reading.entity, reading.time): reading.values for reading in readings}


def test_the_back_fill_comes_at_once_and_is_the_end_of_the_training_period():
    stream = SOURCE.stream(speed=60, backfill=6 * HOUR)
    wall = Wall(stream)
    batches = list(itertools.islice(stream, 6))
    assert wall.waits == 0
    readings = [reading for batch in batches for reading in batch]
    assert readings[0].time == END - 6 * HOUR and readings[-1].time == END - timedelta(minutes=1)
    trained = SOURCE.read(Quarantine()).readings.filter(pl.col("time") >= END - 6 * HOUR)
    assert len(readings) == trained.height
    first = trained.row(0, named=True)
    assert keyed(readings)[first["entity"], first["time"]] == {name: value for name, value in first.items() if name not in ("entity", "time")}


def test_readings_fall_due_at_the_pace_of_the_speed():
    stream = SOURCE.stream(speed=60, backfill=timedelta(0))
    wall, origin = Wall(stream), stream.clock.wall_origin
    for minute, batch in enumerate(itertools.islice(stream, 10)):
        assert {reading.time for reading in batch} == {END + timedelta(minutes=minute)}
        assert wall.now - origin == pytest.approx(minute, abs=0.01)
        assert stream.clock.now(wall.now) >= batch[0].time.timestamp()


def test_a_stream_that_fell_behind_catches_up_in_order():
    stream = SOURCE.stream(speed=60, backfill=timedelta(0))
    wall = Wall(stream)
    next(iter(stream))
    wall.now += 300
    times = [reading.time for batch in itertools.islice(stream, 5) for reading in batch]
    assert times == sorted(times) and times[-1] == END + timedelta(minutes=300)


def test_a_stream_that_starts_again_gives_the_same_data_for_the_same_time():
    whole = keyed(collect(SOURCE.stream(600, HOUR), END + 3 * HOUR))
    again = keyed(collect(SOURCE.stream(600, timedelta(0), start=END + 2 * HOUR, opening=END), END + 3 * HOUR))
    assert again == {key: values for key, values in whole.items() if key[1] >= END + 2 * HOUR}


def test_midnight_is_no_jump():
    readings = collect(SOURCE.stream(600, timedelta(hours=2)), END + HOUR)
    series = [r.values["system.memory.utilization"] for r in readings if r.entity == "app-02" and "system.memory.utilization" in r.values]
    steps = [abs(b - a) for a, b in itertools.pairwise(series)]
    assert max(steps[110:130]) < 0.05


def test_the_first_incident_grows_within_minutes_and_is_named():
    stream = SOURCE.stream(speed=60, backfill=timedelta(0))
    opening, name = stream.opening, SOURCE.world().fleet.names[stream.opening.server]
    assert moment(opening.ramp) == END + timedelta(minutes=20) and END + HOUR <= moment(opening.start) <= END + timedelta(minutes=90)
    assert name in stream.notes[1]
    memory = {r.time: r.values.get("system.memory.utilization", 0) for r in collect(stream, END + 2 * HOUR) if r.entity == name}
    assert memory[END + timedelta(minutes=60)] > memory[END + timedelta(minutes=15)] + 0.05
    assert memory[moment(opening.start + 5)] > 0.93


def test_a_stream_that_goes_on_after_the_first_incident_announces_none():
    assert len(SOURCE.stream(60, timedelta(0), start=END + 5 * HOUR, opening=END).notes) == 1


def test_incidents_go_on_after_the_first():
    later = SOURCE.stream(60, timedelta(0)).world.incidents(4 * 1440, 40 * 1440)
    assert len(later) > 20 and later[-1].start > 35 * 1440


def test_no_live_value_lies_outside_its_metrics_bounds():
    source = SimulatedSource("simulated", servers=40)
    garbled = next(  # (day, minute) of the first impossible value after the training period
        (day, int(np.argwhere(values > 1)[0][1])) for day in itertools.count(14)
        for name, values in source.world().day(day).metrics.items() if CATALOGUE[name].high == 1 and (values > 1).any()
    )
    start = EPOCH + timedelta(days=garbled[0], minutes=garbled[1])
    stream = source.stream(60, timedelta(minutes=5), start=start)
    for reading in collect(stream, start + timedelta(minutes=5)):
        for name, value in reading.values.items():
            assert CATALOGUE[name].low is None or CATALOGUE[name].low <= value <= CATALOGUE[name].high
    assert stream.refused == 1


def test_any_origin_will_do():
    readings = collect(SOURCE.stream(60, timedelta(0), start=datetime(2030, 7, 1, 11, 59, 30, tzinfo=UTC)), datetime(2030, 7, 1, 12, 5, tzinfo=UTC))
    assert readings[0].time == datetime(2030, 7, 1, 12, tzinfo=UTC)


def test_closing_ends_a_wait_from_another_thread():
    stream = live_source("simulated:servers=2,days=1").stream(speed=0.001, backfill=timedelta(0))
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    stream.close()
    reader.join(timeout=10)
    assert not reader.is_alive()


@pytest.mark.parametrize(("speed", "backfill", "start"), [
    (0, HOUR, None), (-1, HOUR, None), (float("nan"), HOUR, None), (float("inf"), HOUR, None), (60, -HOUR, None), (60, HOUR, datetime(2024, 1, 1)),
])
def test_a_stream_that_cannot_be_is_refused(speed, backfill, start):
    with pytest.raises(UsageError):
        SOURCE.stream(speed, backfill, start=start)
