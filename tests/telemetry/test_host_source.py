"""This machine as a source."""

import itertools
import socket
from dataclasses import replace
from datetime import timedelta

import pytest

from presage.errors import InputError
from presage.telemetry.host import PERIOD, read_counters, values_between
from presage.telemetry.metrics import CATALOGUE, HOST_METRICS
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.sources import live_source, parse_source


def test_the_host_reports_its_metrics_once_a_second():
    stream = live_source("host").stream(speed=1, backfill=timedelta(0))
    batches = list(itertools.islice(stream, 2))
    stream.close()
    readings = [reading for batch in batches for reading in batch]
    assert [reading.entity for reading in readings] == [socket.gethostname()] * 2
    assert (readings[1].time - readings[0].time).total_seconds() == pytest.approx(1, abs=0.5)
    assert stream.period == PERIOD
    for reading in readings:
        assert set(reading.values) | set(stream.lacks) >= set(HOST_METRICS) - {"system.cpu.utilization", "system.cpu.utilization.iowait"}
        assert all(CATALOGUE[name].low <= value <= CATALOGUE[name].high for name, value in reading.values.items())


def test_the_host_has_no_past_and_says_what_to_train_on():
    with pytest.raises(InputError, match="simulated:metrics=host"):
        parse_source("host").read(Quarantine())


def test_the_host_says_what_it_cannot_grant():
    notes = " ".join(live_source("host").stream(speed=60, backfill=timedelta(hours=6)).notes)
    assert "warming" in notes and "speed 60 is left out" in notes


def test_the_hosts_clock_runs_in_real_time():
    assert live_source("host").stream(speed=60, backfill=timedelta(0)).clock.speed == 1


def test_a_counter_that_fell_gives_no_rate():
    before = read_counters(100.0)
    after = replace(before, time=101.0, received=10, sent=5)
    values = values_between(replace(before, received=20, sent=1), after)
    assert "system.network.io.receive" not in values and values["system.network.io.transmit"] == 4


def test_what_a_machine_does_not_show_is_left_out():
    before = replace(read_counters(100.0), cpu_iowait=None, disk_operations=None, disk_bytes=None)
    values = values_between(before, replace(before, time=101.0, cpu_idle=before.cpu_idle + 0.5, cpu_total=before.cpu_total + 1))
    assert values["system.cpu.utilization"] == pytest.approx(0.5)
    assert not {"system.cpu.utilization.iowait", "system.disk.io", "system.disk.operations"} & set(values)
