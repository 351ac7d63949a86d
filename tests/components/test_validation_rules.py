"""Each rule refuses what it names, says why, and leaves its neighbours alone."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from builders.fleets import RATIO, START, instants, one_metric

from components.validate.telemetry import apply_rules, validate
from presage.errors import InputError, RowsRefused
from presage.files import read_json
from presage.telemetry.schema import Metric, Telemetry

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def refusals(telemetry: Telemetry) -> list[tuple[str, str | None, datetime]]:
    """(rule, metric, time) of everything refused."""
    return [(row["rule"], row["metric"], row["time"]) for row in apply_rules(telemetry, NOW).refused.to_dicts()]


def test_values_outside_the_believable_range_are_refused_and_become_null():
    result = apply_rules(one_metric({"web-01": [0.2, 1.7, 0.3, -0.1, 0.4]}), NOW)
    assert result.refused["rule"].to_list() == ["range", "range"]
    assert result.refused["value"].to_list() == ["1.7", "-0.1"]
    assert result.telemetry.readings[RATIO.name].to_list() == [0.2, None, 0.3, None, 0.4]
    assert "lies in [0, 1]" in result.refused["reason"][0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 3e38, -1e300])
def test_what_no_feature_can_hold_is_refused_even_without_bounds(value):
    boundless = Metric("queue.depth", "1")
    assert refusals(one_metric({"web-01": [5.0, value, 6.0]}, boundless)) == [("range", "queue.depth", START + timedelta(minutes=1))]


def test_a_bound_itself_is_believable():
    assert refusals(one_metric({"web-01": [0.0, 1.0, 0.0, 1.0]})) == []


def test_a_jump_faster_than_the_metric_can_move_is_refused_once_and_the_way_back_is_not():
    metric = Metric("system.memory.utilization", "1", 0, 1, max_rate=0.001)  # 0.06 a minute
    result = apply_rules(one_metric({"web-01": [0.50, 0.51, 0.95, 0.52, 0.53]}, metric), NOW)
    assert result.telemetry.readings[metric.name].to_list() == [0.50, 0.51, None, 0.52, 0.53]
    assert result.refused["rule"].to_list() == ["rate_of_change"]


def test_a_rate_of_change_is_never_taken_across_entities_or_over_a_long_gap():
    metric = Metric("system.memory.utilization", "1", 0, 1, max_rate=0.001)
    assert refusals(one_metric({"a": [0.1, 0.1], "b": [0.9, 0.9]}, metric)) == []
    assert refusals(one_metric({"a": [0.1, 0.9]}, metric, times=[START, START + timedelta(hours=1)])) == []


def test_a_sensor_that_stands_still_is_refused_from_the_sample_that_proves_it():
    metric = Metric("system.cpu.utilization", "1", 0, 1, stuck_after=4)
    values = [0.3, 0.3, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6]
    kept = apply_rules(one_metric({"web-01": values}, metric), NOW).telemetry.readings[metric.name].to_list()
    assert kept == [0.3, 0.3, 0.3, 0.4, 0.5, 0.5, 0.5, None, None, 0.6]


def test_idle_and_saturated_are_states_and_no_stuck_sensors():
    metric = Metric("system.cpu.utilization", "1", 0, 1, stuck_after=3)
    assert refusals(one_metric({"idle": [0.0] * 9, "busy": [1.0] * 9}, metric)) == []


def test_equal_values_of_two_entities_are_not_one_run():
    metric = Metric("system.cpu.utilization", "1", 0, 1, stuck_after=4)
    assert refusals(one_metric({"a": [0.2, 0.5, 0.5], "b": [0.5, 0.5, 0.2]}, metric)) == []


def test_an_entity_that_reports_percent_loses_that_metric_and_the_others_keep_theirs():
    result = apply_rules(one_metric({"a": [0.4, 0.5, 0.6], "b": [0.3, 0.2, 0.4], "c": [41.0, 52.0, 0.9]}), NOW)
    assert set(result.refused["rule"]) == {"unit"}
    assert set(result.refused["entity"]) == {"c"}
    assert "percent" in result.refused["reason"][0]
    assert result.telemetry.readings.filter(pl.col("entity") == "c")[RATIO.name].null_count() == 3


@pytest.mark.parametrize(("time", "word"), [(NOW + timedelta(hours=3), "ahead"), (datetime(1970, 1, 1, 0, 5, tzinfo=UTC), "never set")])
def test_a_row_whose_clock_is_off_goes_whole_and_says_how(time, word):
    times = sorted([*instants(4), time])
    result = apply_rules(one_metric({"web-01": [0.1, 0.2, 0.3, 0.4, 0.5]}, times=times), NOW)
    assert result.telemetry.readings.height == 4
    row = result.refused.row(0, named=True)
    assert (row["rule"], row["metric"]) == ("clock_skew", None)
    assert word in row["reason"]


def test_gaps_are_reported_and_nothing_is_refused_for_them():
    times = [*instants(5), *instants(5, start=START + timedelta(hours=2))]
    result = apply_rules(one_metric({"web-01": [0.1, 0.2] * 5}, times=times), NOW)
    gaps = result.quality["gaps"]
    assert result.refused.is_empty()
    assert gaps["count"] == 1
    assert gaps["missing_samples"] == 115
    assert gaps["longest"][0]["minutes"] == 116


def test_the_quality_report_counts_each_rule_and_metric():
    quality = apply_rules(one_metric({"web-01": [0.2, 7.0, 0.3, 0.4]}), NOW).quality
    assert quality["metrics"] == [{"name": RATIO.name, "seen": 4, "refused": 1}]
    assert {"rule": "range", "refused": 1} in quality["rules"]
    assert quality["refused_rows_share"] == 0.25


def test_a_metric_that_is_mostly_refused_ends_the_run_and_its_quarantine_stays(tmp_path):
    one_metric({"a": [41.0, 52.0, 60.0], "b": [0.4, 0.5, 0.6], "c": [70.0, 55.0, 49.0]}).save(tmp_path / "telemetry")
    with pytest.raises(RowsRefused, match=r"6 of 9 samples of system\.cpu\.utilization were refused, most by the rule unit: .*percent"):
        validate(tmp_path / "telemetry", tmp_path / "validated", tmp_path / "quality", NOW)
    assert not (tmp_path / "validated").exists()
    assert pl.read_parquet(tmp_path / "quality" / "quarantine.parquet").height == 6
    assert read_json(tmp_path / "quality" / "quality.json")["rows"] == 9


def test_two_rows_of_one_entity_and_time_are_refused_in_a_sentence():
    twice = one_metric({"web-01": [0.1, 0.2]}, times=[START, START])
    with pytest.raises(InputError, match="two rows of one time"):
        apply_rules(twice, NOW)


def test_half_a_million_rows_of_twenty_metrics_are_validated_in_seconds():
    import time

    from presage.telemetry.quarantine import Quarantine
    from presage.telemetry.sources import parse_source

    telemetry = parse_source("simulated").read(Quarantine())
    apply_rules(one_metric({"warm": [0.1, 0.2]}), NOW)  # imports
    began = time.process_time()
    apply_rules(telemetry, NOW)
    assert time.process_time() - began < 10  # CPU seconds of all threads; 2 to 3 here
