"""Point adjustment, and the curves the report draws."""

import numpy as np
from builders.timelines import timeline

from components.evaluate.adjusted import f1_score, point_adjusted
from components.evaluate.curves import calibration_deciles, decile_of, precision_recall


def test_one_flagged_tick_counts_the_whole_incident_when_adjusted():
    line = timeline({"a": 100, "b": 100}, [("a", 20, 29, 0), ("b", 50, 59, 1)])
    flagged = np.zeros(200, bool)
    flagged[25] = True
    assert f1_score(line, flagged, adjust=False) == 2 * 1 / (1 + 20)
    assert f1_score(line, flagged, adjust=True) == 2 * 10 / (10 + 20)


def test_a_random_score_shines_once_it_is_adjusted_and_is_printed_beside():
    incidents = [("a", 100 * number, 100 * number + 40, number) for number in range(1, 20)]
    line = timeline({"a": 2100}, incidents)
    scores = line.active + np.random.default_rng(0).random(2100)
    result = point_adjusted(line, scores, line, scores, seed=1)
    assert min(result["point_f1"], result["f1"]) > 0.98
    assert result["random_f1"] > 0.8
    assert result["random_point_f1"] < 0.6


def test_precision_over_recall_ends_at_prevalence_and_holds_the_best_point():
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    curve = precision_recall("x", labels, scores)
    assert dict(zip(curve["recall"], curve["precision"], strict=True)) == {0.5: 1.0, 1.0: 0.66667}


def test_rows_of_equal_risk_stay_in_one_decile():
    risk = np.concatenate([np.full(95, 0.01), np.full(5, 0.5)])
    assert len(np.unique(decile_of(risk))) == 2
    assert np.bincount(decile_of(np.arange(100.0))).tolist() == [10] * 10


def test_a_decile_says_what_was_stated_and_what_happened():
    risk = np.concatenate([np.full(90, 0.1), np.full(10, 0.5)])
    labels = np.concatenate([np.zeros(90), np.ones(5), np.zeros(5)]).astype(int)
    clusters = np.where(labels == 1, 3, -1)
    clusters[94] = 4
    low, high = calibration_deciles(risk, risk - 0.05, risk + 0.05, labels, clusters)
    assert (low["rows"], low["observed"], low["clusters"]) == (90, 0.0, 0)
    assert (high["rows"], high["observed"], high["clusters"]) == (10, 0.5, 2)
    np.testing.assert_allclose([high["risk"], high["p0"], high["p1"]], [0.5, 0.45, 0.55])
