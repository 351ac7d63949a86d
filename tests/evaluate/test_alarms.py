"""Alarms, false alarms, detection and lead, on timelines written by hand (a tick is five minutes, the horizon an hour)."""

import numpy as np
import pytest
from builders.timelines import timeline

from components.evaluate.alarms import carried_threshold, detect_events, false_alarms, fire


def on(ticks: int, *spans: tuple[int, int]) -> np.ndarray:
    """Scores of 1 in the spans (both ends inclusive), 0 elsewhere."""
    scores = np.zeros(ticks)
    for first, last in spans:
        scores[first : last + 1] = 1.0
    return scores


def test_an_alarm_fires_when_the_score_rises_and_every_hour_while_it_stays():
    line = timeline({"a": 60})
    np.testing.assert_array_equal(np.flatnonzero(fire(line, on(60, (5, 40), (50, 52)), 0.5)), [5, 17, 29, 50])


def test_an_alarm_does_not_carry_over_to_the_next_server_or_across_a_gap():
    line = timeline({"a": 10, "b": 10}, missing={"b": (4, 5)})
    np.testing.assert_array_equal(np.flatnonzero(fire(line, np.ones(18), 0.5)), [0, 10, 14])


def test_a_score_that_is_missing_raises_no_alarm():
    line = timeline({"a": 3})
    assert not fire(line, np.array([np.nan, 0.4, np.nan]), 0.5).any()


@pytest.mark.parametrize(("tick", "false"), [(87, 1), (88, 0), (105, 0), (111, 0), (112, 1)])
def test_an_alarm_is_false_outside_an_hour_before_to_half_an_hour_after(tick, false):
    line = timeline({"a": 288}, [("a", 100, 105, 0)])
    assert false_alarms(line, on(288, (tick, tick)), 0.5) == false


def test_another_servers_incident_excuses_nothing():
    line = timeline({"a": 288, "b": 288}, [("a", 100, 105, 0)])
    assert false_alarms(line, np.concatenate([np.zeros(288), on(288, (100, 100))]), 0.5) == 0.5


def test_an_alarm_that_is_always_on_counts_every_hour():
    line = timeline({"a": 288})
    assert false_alarms(line, np.ones(288), 0.5) == 24


@pytest.mark.parametrize(
    ("span", "lead"), [((90, 90), 50.0), ((88, 88), 60.0), ((100, 100), 0.0), ((102, 110), -10.0), ((105, 105), -25.0), ((106, 110), None), ((80, 81), None)]
)
def test_lead_is_from_the_first_alarm_within_the_horizon_to_the_start(span, lead):
    line = timeline({"a": 200}, [("a", 100, 105, 0)])
    found = detect_events(line, on(200, span), 0.5)
    assert found.median_lead == lead
    assert bool(found.detected[0]) == (lead is not None)
    assert bool(found.early[0]) == (lead is not None and lead > 0)


def test_an_alarm_that_stays_on_detects_an_hour_later_by_firing_again():
    line = timeline({"a": 200}, [("a", 100, 105, 0)])
    assert detect_events(line, on(200, (70, 120)), 0.5).median_lead == 30.0  # it fired at 70, 82 and 94


def test_events_that_started_before_the_scored_time_or_lie_in_a_hole_are_not_counted():
    line = timeline({"a": 100, "b": 100}, [("a", -5, 10, 0), ("a", 50, 52, 1), ("b", 60, 61, 2), ("b", 200, 201, 3)], missing={"b": range(40, 70)})
    assert line.events().tolist() == [1]


def test_the_threshold_carried_forward_keeps_the_rate_on_the_rows_it_was_chosen_on():
    random = np.random.default_rng(1)
    line = timeline({"a": 2000, "b": 2000}, [("a", 500, 520, 0)])
    scores = random.random(4000)
    for rate in (1.0, 0.2):
        threshold = carried_threshold(line, scores, rate)
        assert false_alarms(line, scores, threshold) <= rate < false_alarms(line, scores, threshold - 0.02)


def test_where_even_the_highest_score_is_false_too_often_nothing_is_an_alarm():
    line = timeline({"a": 288})
    scores = np.ones(288)
    assert not fire(line, scores, carried_threshold(line, scores, 1.0)).any()
