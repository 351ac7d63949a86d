"""`--source SPEC`: what is accepted, and what a wrong one is told."""

from datetime import timedelta

import pytest

from presage.errors import UsageError
from presage.telemetry.clock import StreamClock
from presage.telemetry.metrics import CATALOGUE, HOST_METRICS, metric_named
from presage.telemetry.sources import SCHEMES, live_source, parse_source, parse_spec


@pytest.mark.parametrize("spec", ["simulated", "simulated:servers=3,days=1,seed=2", "host", "csv:a.csv", "parquet:/data/a,b=c.parquet,mapping=m.yaml"])
def test_a_spec_gives_the_source_it_names(spec):
    source = parse_source(spec)
    assert source.spec == spec and source.name == spec.split(":")[0] and source.live == (source.name in ("simulated", "host"))


def test_a_path_may_hold_commas_and_equals_signs():
    _, spec = parse_spec("parquet:/data/a,b=c.parquet,mapping=m.yaml")
    assert (spec.target, spec.options) == ("/data/a,b=c.parquet", {"mapping": "m.yaml"})


@pytest.mark.parametrize(("spec", "said"), [
    ("kafka:x", "names no known source"), ("", "names no known source"), ("fleet.csv", "Did you mean csv:fleet.csv"), ("csv:", "ends in a colon"),
    ("csv", "names no file"), ("simulated:servers", "is no option of simulated"), ("host:speed=2", "It takes none"),
])
def test_a_wrong_spec_is_told_what_is_known(spec, said):
    with pytest.raises(UsageError, match=said) as caught:
        parse_source(spec)
    assert repr(spec) in caught.value.message and caught.value.exit_code == 2


def test_a_file_does_not_go_on():
    with pytest.raises(UsageError, match="does not go on"):
        live_source("csv:fleet.csv")


def test_every_live_source_streams():
    for scheme in SCHEMES:
        source = parse_source(scheme.name if not scheme.target else f"{scheme.name}:x")
        if source.live:
            stream = live_source(scheme.name).stream(speed=60, backfill=timedelta(0))
            assert stream.metrics and stream.period > timedelta(0) and stream.entities.height > 0 and stream.source == scheme.name and stream.notes
            stream.close()


def test_the_catalogue_has_twenty_metrics_of_which_a_host_has_twelve():
    assert len(CATALOGUE) == 20 and len(HOST_METRICS) == 12 and set(HOST_METRICS) < set(CATALOGUE)
    assert all(metric.description and metric.unit for metric in CATALOGUE.values())


def test_a_metric_in_another_unit_loses_the_bounds_of_the_catalogue():
    assert metric_named("system.cpu.utilization").high == 1
    assert metric_named("system.cpu.utilization", "%").high is None
    assert (metric_named("asd.m19").high, metric_named("asd.m20").high) == (1, None)


def test_a_clock_turns_wall_time_into_event_time_and_back():
    clock = StreamClock(event_origin=1000.0, wall_origin=50.0, speed=60.0)
    assert clock.now(51.0) == 1060.0 and clock.wall(1060.0) == 51.0
