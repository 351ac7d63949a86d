"""The simulated fleet: the same for a seed, incidents that develop, look-alikes, labels with causes, fast."""

import time
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from presage.errors import UsageError
from presage.telemetry.metrics import CATALOGUE, HOST_METRICS
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.schema import Telemetry
from presage.telemetry.simulator.calendar import DAY, EPOCH, WEEK, moment
from presage.telemetry.simulator.episodes import CAUSES
from presage.telemetry.simulator.fleet import build_fleet
from presage.telemetry.simulator.lookalikes import lookalikes_of_day
from presage.telemetry.simulator.noise import Noise
from presage.telemetry.simulator.physics import SPREAD
from presage.telemetry.simulator.rhythm import activity
from presage.telemetry.simulator.schedule import incidents_of_week
from presage.telemetry.simulator.source import SimulatedSource
from presage.telemetry.sources import parse_source


def read(spec: str) -> Telemetry:
    return parse_source(spec).read(Quarantine())


@pytest.fixture(scope="module")
def fortnight() -> Telemetry:
    return read("simulated")


def test_a_fortnight_of_24_servers_and_20_metrics_takes_less_than_ten_seconds():
    started = time.process_time()
    telemetry = read("simulated:seed=11")
    assert time.process_time() - started < 10
    assert len(telemetry.metrics) == 20 and telemetry.entities.height == 24
    assert telemetry.readings.height == pytest.approx(24 * 14 * DAY, rel=0.01)


def test_one_seed_gives_one_fleet_and_another_seed_another():
    first, again, other = read("simulated:servers=3,days=1,seed=5"), read("simulated:servers=3,days=1,seed=5"), read("simulated:servers=3,days=1,seed=6")
    assert first.readings.equals(again.readings) and first.incidents.equals(again.incidents)
    assert not first.readings.equals(other.readings)


def test_a_longer_period_only_adds_days():
    short, long = read("simulated:servers=3,days=2"), read("simulated:servers=3,days=4")
    assert long.readings.filter(pl.col("time") < EPOCH + timedelta(days=2)).equals(short.readings)


def test_a_day_is_the_same_whenever_it_is_asked_for():
    source = SimulatedSource("simulated", servers=4, days=3)
    in_order, alone = source.world(), source.world()
    for day in range(3):
        in_order.day(day)
    for name, values in in_order.day(2).metrics.items():
        np.testing.assert_array_equal(values, alone.day(2).metrics[name])


def test_readings_follow_the_schema(fortnight):
    readings = fortnight.readings
    assert readings.columns == ["entity", "time", *CATALOGUE]
    assert readings.schema["time"] == pl.Datetime("us", "UTC")
    assert set(readings.dtypes[2:]) == {pl.Float64}
    assert readings.select("entity", "time").equals(readings.select("entity", "time").unique().sort("entity", "time"))
    assert fortnight.period == timedelta(minutes=1)


def test_only_a_few_readings_are_lost_or_impossible(fortnight):
    outside = sum(fortnight.readings.select(((pl.col(m.name) < m.low) | (pl.col(m.name) > m.high)).sum()).item()
                  for m in fortnight.metrics if m.low is not None)
    assert 0 < outside < 60
    assert 0 < 24 * 14 * DAY - fortnight.readings.height < 0.005 * 24 * 14 * DAY


def test_every_cause_befalls_the_fleet_and_every_server_its_share(fortnight):
    incidents = fortnight.incidents
    assert set(incidents["cause"]) == set(CAUSES)
    singles = incidents.filter(pl.col("cause") != "cascading_saturation").height
    assert 1.5 * 24 <= singles <= 3.2 * 24
    assert incidents["entity"].n_unique() >= 22


def test_three_to_six_hundredths_of_the_time_lie_in_or_before_an_incident(fortnight):
    positive = sum((row["end"] - row["start"] + timedelta(hours=1)).total_seconds() / 60 for row in fortnight.incidents.iter_rows(named=True))
    assert 0.03 <= positive / (24 * 14 * DAY) <= 0.06


def test_incidents_of_one_server_never_overlap(fortnight):
    following = fortnight.incidents.sort("entity", "start").with_columns(pl.col("end").shift().over("entity").alias("previous"))
    assert following.filter(pl.col("start") <= pl.col("previous")).is_empty()


def test_a_cascade_climbs_from_callee_to_caller():
    fleet = build_fleet(24, 7)
    hits = [episode for week in range(4) for episode in incidents_of_week(fleet, week, 1.5) if episode.cause == "cascading_saturation"]
    climbs = [(a, b) for a in hits for b in hits if a.server in fleet.servers[b.server].depends_on and 5 <= b.start - a.start <= 30]
    assert len(climbs) >= 8


def test_what_hurts_grew_for_half_an_hour_to_three_hours():
    fleet = build_fleet(24, 3)
    for week in range(3):
        for episode in incidents_of_week(fleet, week, 1.5):
            assert 30 <= episode.start - episode.ramp <= 180
            assert week * WEEK <= episode.ramp and episode.settled < (week + 1) * WEEK


@pytest.mark.parametrize(("cause", "metric", "change"), [
    ("memory_leak", "system.memory.utilization", 0.05),
    ("disk_fill", "system.filesystem.utilization", 0.05),
    ("connection_pool_exhaustion", "db.client.connection.utilization", 0.1),
    ("certificate_expiry", "httpcheck.tls.cert_remaining", -3600),
])
def test_an_incident_shows_before_it_hurts(fortnight, cause, metric, change):
    """Half an hour before users are hurt its own metric has left, in most cases, where it was three hours before."""
    moved = []
    for row in fortnight.incidents.filter(cause=cause).iter_rows(named=True):
        mine = fortnight.readings.filter(pl.col("entity") == row["entity"])

        def mean(first: int, last: int, mine=mine, start=row["start"]):
            return mine.filter(pl.col("time").is_between(start + timedelta(minutes=first), start + timedelta(minutes=last)))[metric].median()

        moved.append(mean(-35, -25) - mean(-200, -180))
    assert np.mean(np.array(moved) * np.sign(change) >= abs(change)) > 0.6


def test_harmless_episodes_outnumber_incidents_and_carry_no_cause():
    fleet = build_fleet(24, 7)
    harmless = [episode for day in range(7) for episode in lookalikes_of_day(fleet, day)]
    assert len(harmless) > len(incidents_of_week(fleet, 0, 1.5))
    assert {episode.cause for episode in harmless} == {None}
    assert {"batch", "traffic", "restart", "leak", "fill", "certificate"} <= {episode.drive for episode in harmless}


def test_nights_and_weekends_are_quieter():
    fleet = build_fleet(8, 1)
    week = activity(fleet, np.arange(WEEK))
    by_day = week.reshape(8, 7, DAY)
    assert (by_day[:, :5, 840:900].mean() > 1.6 * by_day[:, :5, 180:240].mean())
    assert by_day[:, 5:].mean() < 0.8 * by_day[:, :5].mean()
    assert np.abs(np.diff(week, axis=1)).max() < 0.02
    assert week.min() > 0.05 and week.max() < 1.2


def test_noise_joins_from_day_to_day_and_has_the_variance_it_claims():
    noise = Noise(3, "test", np.array([0.98, 0.5], np.float32), 40)
    two = np.concatenate([noise.day(0), noise.day(1)], axis=2)
    assert np.std(two, axis=(1, 2)) == pytest.approx([1, 1], rel=0.1)
    steps = np.abs(np.diff(two[0], axis=1))
    assert steps[:, DAY - 1].max() < 6 * np.sqrt(1 - 0.98**2)
    assert np.corrcoef(two[0, :, DAY - 1], two[0, :, DAY])[0, 1] > 0.9


def test_one_more_metric_in_the_noise_would_not_move_the_topology():
    assert set(SPREAD) == set(CATALOGUE)
    assert [server.depends_on for server in build_fleet(12, 4).servers] == [server.depends_on for server in build_fleet(12, 4).servers]


@pytest.mark.parametrize("servers", [1, 2, 3, 4, 5, 7, 24, 61])
def test_a_fleet_of_any_size_has_callers_above_callees(servers):
    fleet = build_fleet(servers, 9)
    assert len(fleet) == servers == len(set(fleet.names))
    for server in fleet.servers:
        assert all(fleet.servers[i].role.tier < server.role.tier for i in server.depends_on)
    entities = fleet.entities()
    assert entities["entity"].is_sorted() and (servers < 5 or set(entities["domain"]) == {"compute", "databases", "network", "storage"})


def test_host_metrics_are_the_same_values_with_fewer_columns():
    every, host = read("simulated:servers=2,days=1"), read("simulated:servers=2,days=1,metrics=host")
    assert host.metric_names == list(HOST_METRICS)
    assert every.readings.select("entity", "time", *HOST_METRICS).equals(host.readings)


def test_no_incidents_can_be_asked_for():
    assert read("simulated:servers=2,days=1,incidents=0").incidents.is_empty()


def test_every_labelled_time_lies_in_the_period(fortnight):
    last = moment(14 * DAY - 1)
    assert fortnight.incidents["start"].min() >= EPOCH and fortnight.incidents["end"].max() <= last
    assert fortnight.labelled.height == 24 and fortnight.labelled["start"].unique().to_list() == [EPOCH]


@pytest.mark.parametrize(("options", "named"), [
    ("servers=0", "servers is '0'"), ("days=1.5", "days is '1.5'"), ("seed=-1", "seed is '-1'"), ("metrics=some", "metrics is 'some'"),
    ("incidents=many", "incidents is 'many'"), ("incidents=nan", "incidents is 'nan'"), ("size=3", "'size=3' is no option"), ("days=1,days=2", "days twice"),
])
def test_a_wrong_option_is_named_with_its_value(options, named):
    with pytest.raises(UsageError, match=named):
        parse_source(f"simulated:{options}")
