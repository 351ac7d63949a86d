"""Detectors: what a live row says is what the whole series says, and nothing else is needed to say it."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.detect.fit import fit_detectors
from presage.errors import ArtifactRefused, InputError
from presage.features.detectors import DETECTORS, HISTORY, Detectors

TICK = timedelta(minutes=5)
METRICS = ("cpu", "memory", "requests")
START = 1_700_000_100.0


def wave(ticks: int, seed: int, start: float = START) -> tuple[np.ndarray, np.ndarray]:
    """A day's rhythm with noise that has a memory: f32[ticks, 3], and times."""
    random = np.random.default_rng(seed)
    times = start + 300.0 * np.arange(ticks)
    noise = np.zeros((ticks, 3))
    for tick in range(1, ticks):
        noise[tick] = 0.8 * noise[tick - 1] + random.normal(size=3)
    rhythm = np.sin(times * 2 * np.pi / 86400)[:, None] * np.array([5.0, 1.0, 3.0])
    return (rhythm + noise + np.array([10.0, 50.0, 0.0])).astype(np.float32), times


@pytest.fixture(scope="module")
def fitted() -> Detectors:
    return fit_detectors({"a": wave(900, 1), "b": wave(700, 2)}, METRICS, TICK, seed=0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), ticks=st.integers(1, 160), holes=st.floats(0, 0.6), entity=st.sampled_from(["a", "b", "never seen"]))
def test_a_live_row_equals_the_row_over_the_whole_series(fitted, seed, ticks, holes, entity):
    series, times = wave(ticks, seed)
    series[np.random.default_rng(seed).random(series.shape) < holes] = np.nan
    before = np.full((HISTORY, 3), np.nan, np.float32)
    padded = np.concatenate([before, series])
    histories = np.stack([padded[end - HISTORY : end] for end in range(HISTORY + 1, len(padded) + 1)])
    whole = fitted.series(series, times, entity)
    live = fitted.features(histories, [entity] * ticks, times)
    np.testing.assert_allclose(live, whole, rtol=1e-3, atol=2e-3)


def test_a_longer_history_changes_nothing(fitted):
    series, times = wave(100, 5)
    short, long = series[-HISTORY:][None], np.concatenate([series[-HISTORY:] * 0 + 1e6, series[-HISTORY:]])[None]
    np.testing.assert_array_equal(fitted.features(short, ["a"], times[-1:]), fitted.features(long, ["a"], times[-1:]))


def test_the_names_are_every_detector_and_the_ensemble_with_every_aggregate(fitted):
    assert len(fitted.names) == len(set(fitted.names)) == (len(DETECTORS) + 1) * 6
    assert {"detector.autoregressive_1.last", "detector.regimes.max_1h", "detector.ensemble.mean_4h", fitted.ensemble} <= set(fitted.names)


def test_an_unusual_hour_is_a_surprise_to_every_detector(fitted):
    series, times = wave(900, 1)
    series[800:812] += np.array([15.0, -15.0, 15.0], np.float32)
    rows = fitted.series(series, times, "a")
    for detector in (*DETECTORS, "ensemble"):
        column = rows[:, fitted.names.index(f"detector.{detector}.max_1h")]
        assert column[811] > 1.5 * np.nanmedian(column), detector


def test_a_quiet_score_is_exponential_under_the_rows_it_was_fitted_on(fitted):
    rows = fitted.series(*wave(900, 1), "a")
    for detector in DETECTORS:
        column = rows[:, fitted.names.index(f"detector.{detector}.last")]
        tail = np.mean(column[np.isfinite(column)] > -np.log(0.1))
        assert 0.08 < tail < 0.12, detector


def test_nothing_seen_is_no_score_and_no_warning(fitted):
    with np.errstate(all="raise"):
        rows = fitted.features(np.full((2, HISTORY, 3), np.nan, np.float32), ["a", "c"], [START, START])
    assert np.isnan(rows).all()


def test_fitting_twice_gives_the_same_bytes_and_loading_gives_the_same_scores(tmp_path, fitted):
    again = fit_detectors({"b": wave(700, 2), "a": wave(900, 1)}, METRICS, TICK, seed=0)
    fitted.save(tmp_path / "one")
    again.save(tmp_path / "two")
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "two").read_bytes()
    series, times = wave(90, 9)
    np.testing.assert_array_equal(Detectors.load(content).series(series, times, "b"), fitted.series(series, times, "b"))


def test_what_was_changed_is_refused_before_it_scores(tmp_path, fitted):
    fitted.save(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    spoilt = {**fitted.arrays, "scale": 0 * fitted.arrays["scale"]}
    Detectors(fitted.metrics, fitted.entities, fitted.tick, spoilt).save(tmp_path / "spoilt")
    shorter = {name: array for name, array in fitted.arrays.items() if name != "quantiles"}
    Detectors(fitted.metrics, fitted.entities, fitted.tick, shorter).save(tmp_path / "shorter")
    fewer = Detectors(fitted.metrics[:2], fitted.entities, fitted.tick, fitted.arrays)
    fewer.save(tmp_path / "fewer")
    for wrong in (b"", content[:200], content[:-8], *((tmp_path / name).read_bytes() for name in ("spoilt", "shorter", "fewer"))):
        with pytest.raises(ArtifactRefused, match=r"detectors\.safetensors") as refused:
            Detectors.load(wrong)
        assert refused.value.reason == "format"


def test_rows_that_do_not_fit_are_refused_in_a_sentence(fitted):
    good = np.zeros((1, HISTORY, 3), np.float32)
    for history, entities, times in ((good[:, 1:], ["a"], [START]), (good[..., :2], ["a"], [START]), (good, ["a", "b"], [START]), (good, ["a"], None)):
        with pytest.raises(InputError, match=r"detector features .*\.$"):
            fitted.features(history, entities, times)


def test_a_metric_that_stands_still_does_not_drown_the_others():
    quiet = {name: wave(400, seed) for name, seed in (("a", 1), ("b", 2))}
    for values, _ in quiet.values():
        values[:, 1] = 50.0
    fitted = fit_detectors(quiet, METRICS, TICK, seed=0)
    series, times = wave(100, 3)
    series[:, 1] = 50.0
    assert np.isfinite(fitted.series(series, times, "a")[80:]).all()


def test_too_little_unlabelled_time_is_said():
    with pytest.raises(InputError, match="the most seen has 30"):
        fit_detectors({"a": wave(30, 1)}, METRICS, TICK, seed=0)


def test_ticks_that_nothing_was_seen_at_do_not_count():
    series, times = wave(400, 1)
    series[np.arange(400) % 50 != 0] = np.nan
    with pytest.raises(InputError, match="the most seen has 8"):
        fit_detectors({"a": (series, times)}, METRICS, TICK, seed=0)


def test_an_entity_too_short_to_be_fitted_takes_the_arrays_of_all():
    fitted = fit_detectors({"a": wave(400, 1), "short": wave(30, 2)}, METRICS, TICK, seed=0)
    series, times = wave(100, 3)
    assert fitted.entities == ("a",)
    np.testing.assert_array_equal(fitted.series(series, times, "short"), fitted.series(series, times, "anybody"))
