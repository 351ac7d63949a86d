"""Reasons in words: which metric, what of it, in its unit; each metric once."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presage.console.reasons import SHOWN, amount, distinct, in_words, words
from presage.features.declaration import FeatureView
from presage.features.detectors import DETECTORS, Detectors
from presage.predictions import Reason
from presage.telemetry.metrics import CATALOGUE, metric_named

MEMORY, ERRORS = "system.memory.utilization", "http.server.error.ratio"
VIEW = FeatureView(
    "v", "server", timedelta(minutes=5), (timedelta(minutes=15), timedelta(hours=6)), ("mean", "std", "min", "max", "last", "slope", "delta"),
    (timedelta(hours=1),), ("hour_sin", "weekday_cos"), 72, 0.5,
)  # fmt: skip
BOUND = VIEW.bind([*CATALOGUE, "asd.m07", "queue.depth"])
FEATURES = [*BOUND.names, *Detectors((), (), timedelta(minutes=5), {}).names]


def reason(feature, value, contribution=1.0, metric=None):
    return Reason(feature, value, contribution, BOUND.metric_of.get(feature, metric))


@pytest.mark.parametrize(("given", "said"), [
    (reason(f"{MEMORY}.mean_1h", 0.934), "system.memory.utilization mean 1h 93%"),
    (reason(f"{ERRORS}.slope_15m", 0.0531), "http.server.error.ratio slope 15m +5.3pp/h"),
    (reason(f"{ERRORS}.delta_6h", -0.002), "http.server.error.ratio delta 6h -0.2pp"),
    (reason(f"{ERRORS}.delta_15m", 6e-6), "http.server.error.ratio delta 15m ~0pp"),
    (reason("system.network.io.receive.max_15m", 1234567.0), "system.network.io.receive max 15m 1.2MB/s"),
    (reason("http.server.request.rate.lag_1h", 15300.0), "http.server.request.rate 1h ago 15k/s"),
    (reason("http.server.request.duration.p95.last_6h", 0.0421), "http.server.request.duration.p95 last 6h 42ms"),
    (reason("httpcheck.tls.cert_remaining.last_15m", 1209600.0), "httpcheck.tls.cert_remaining last 15m 14d"),
    (reason("system.process.count.min_6h", 412.0), "system.process.count min 6h 412"),
    (reason("asd.m07.mean_6h", 0.41), "asd.m07 mean 6h 0.41"),
    (reason(f"{MEMORY}.mean_6h", None), "system.memory.utilization mean 6h not seen"),
    (reason("calendar.hour_sin", 0.5), "the time of day"),
    (reason("detector.autoregressive_1.last", 9.0, metric=MEMORY), "system.memory.utilization unusual"),
    (reason("detector.cross_metric.mean_15m", 3.1, metric=MEMORY), "system.memory.utilization out of step"),
    (reason("detector.time_of_day.max_4h", 3.1, metric=MEMORY), "system.memory.utilization unusual for the hour in 4h"),
    (reason("detector.ensemble.mean_1h", 4.0), "several metrics unusual in 1h"),
    (reason("detector.ensemble.max_1h", 1.7, -0.3, MEMORY), "nothing unusual"),
    (reason("detector.ensemble.max_1h", None), "too little history to compare with"),
])  # fmt: skip
def test_a_reason_says_which_metric_and_what_of_it(given, said):
    assert words(given) == said


def test_a_metric_comes_once_with_its_heaviest_reason_and_further_metrics_follow():
    reasons = [
        reason(f"{ERRORS}.slope_15m", 0.05, 2.0), reason("detector.ensemble.last", 9.0, 1.5, MEMORY), reason(f"{ERRORS}.last_6h", 0.1, 1.2),
        reason(f"{MEMORY}.mean_6h", 0.95, 1.1), reason("system.cpu.utilization.mean_6h", 0.2, -0.9), reason("system.process.count.min_6h", 12.0, 0.5),
    ]  # fmt: skip
    assert in_words(reasons) == (
        "http.server.error.ratio slope 15m +5pp/h ↑, system.memory.utilization unusual ↑, system.cpu.utilization mean 6h 20% ↓"
    )


def test_what_weighs_next_to_nothing_beside_the_heaviest_is_left_out():
    assert in_words([reason(f"{ERRORS}.last_6h", 0.1, 5.0), reason(f"{MEMORY}.mean_6h", 0.5, 0.4)]) == "http.server.error.ratio last 6h 10% ↑"
    assert in_words([]) == ""


def test_several_scores_that_find_nothing_are_one_statement():
    quiet = [reason(f"detector.{detector}.last", 0.4, -0.2, MEMORY) for detector in DETECTORS]
    assert in_words(quiet) == "nothing unusual ↓"


def test_nothing_unusual_is_not_said_beside_something_unusual():
    reasons = [reason("detector.ensemble.last", 0.4, -0.5, MEMORY), reason("detector.cross_metric.max_1h", 6.0, 0.3, MEMORY)]
    assert in_words(reasons) == "system.memory.utilization out of step in 1h ↑"


@given(st.lists(st.builds(reason, st.sampled_from(FEATURES), st.none() | st.floats(-1e13, 1e13), st.floats(-5, 5), st.none() | st.just(MEMORY)), max_size=24))
def test_whatever_the_reasons_no_statement_comes_twice_and_no_raw_name_is_shown(given):
    kept = distinct(given, SHOWN)
    said = [words(one) for one in kept]
    assert len(kept) <= SHOWN and len(set(said)) == len(said)
    assert not any(one.feature in text for one, text in zip(kept, said, strict=True))


@given(st.sampled_from([*CATALOGUE, "queue.depth"]), st.floats(allow_nan=False), st.booleans())
def test_an_amount_is_short_whatever_the_value(metric, value, change):
    known = metric_named(metric)
    within = max(known.low if known.low is not None else -1e9, min(known.high if known.high is not None else 1e13, value))
    assert len(amount(within, metric, change)) <= 10
