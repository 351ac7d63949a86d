"""A row far from the training data is marked, or refused where the policy says so; nobody hides by leaving values out."""

import numpy as np
import pytest

from presage.errors import RequestRefused

STATUS_FAR = 422


@pytest.fixture
def near(serving_site):
    """Rows like those of training: none was learnt from."""
    return serving_site.x[1::2][:: max(1, len(serving_site.x) // 100)]


def shuffled(x, seed=0):
    """Every value one that was seen, no two of them together."""
    random = np.random.default_rng(seed)
    return np.stack([random.permutation(x[:, column]) for column in range(x.shape[1])], axis=1)


def bounded(guarded, x):
    """Moved into the contract's ranges: what a caller who knows them may send."""
    low = np.array([-np.inf if field.low is None else field.low for field in guarded.release.contract.inputs], np.float32)
    high = np.array([np.inf if field.high is None else field.high for field in guarded.release.contract.inputs], np.float32)
    return np.clip(x, low, high).astype(np.float32)


def test_rows_like_the_trainings_are_near_and_say_how_near(guarded, near):
    one = guarded()
    status, answer = one.ask(rows=[one.row(x) for x in near[:20]])
    assert status == 200
    assert all(0 < prediction["distance"] <= 1.0 and prediction["doubts"] == [] for prediction in answer["predictions"])


def test_a_perturbed_row_is_far_although_each_value_lies_within_its_range(guarded, near):
    one = guarded()
    noisy = bounded(one, near + np.nanstd(near, axis=0) * np.random.default_rng(1).normal(size=near.shape).astype(np.float32))
    for attack in (noisy, bounded(one, shuffled(near)), bounded(one, 3 * near)):
        distances = one.release.envelope.distances(attack)
        assert (distances > 1).mean() > 0.9
    status, answer = one.ask(rows=[one.row(noisy[0])])
    [prediction] = answer["predictions"]
    assert status == 200 and prediction["distance"] > 1
    assert prediction["doubts"] == [f"far from the training data: {prediction['distance']:.3g} > 1"]


def test_the_ends_of_the_ranges_are_far(guarded):
    one = guarded()
    fields = one.release.contract.inputs
    for end in ([field.high for field in fields], [field.low for field in fields]):
        x = np.array([3e38 if value is None else value for value in end], np.float32)
        status, answer = one.ask(rows=[one.row(x)])
        assert status == 200 and answer["predictions"][0]["distance"] > 1


def test_the_policy_may_refuse_far_rows_of_callers(guarded, near):
    one = guarded(on_far="refuse")
    far = bounded(one, shuffled(near))
    assert one.ask(rows=[one.row(x) for x in near[:3]])[0] == 200
    status, answer = one.ask(rows=[one.row(near[0]), one.row(far[0])])
    assert status == STATUS_FAR and answer["error"].startswith("Row 1 lies ")
    assert len(one.decisions()) == 3
    assert one.service.metrics.refused.values[("incident", "far")] == 1


def test_a_looked_up_row_is_marked_and_never_refused(guarded, serving_site):
    release = guarded().release
    tight = type(release.envelope)(**{**vars_of(release.envelope), "limits": release.envelope.limits * 1e-3})
    one = guarded(changed={"envelope": tight}, on_far="refuse")
    status, answer = one.ask(servers=serving_site.servers)
    assert status == 200 and all(prediction["doubts"] for prediction in answer["predictions"])


def vars_of(envelope):
    return {name: getattr(envelope, name) for name in envelope.__dataclass_fields__}


def test_leaving_out_what_gives_it_away_is_far_too(guarded, near):
    one = guarded()
    x = np.full_like(near, np.nan)
    x[:, 0] = near[:, 0]
    assert (one.release.envelope.distances(x) > 1).all()
    lied = near.copy()
    lied[:, 1::2] = np.nan
    lied[:, ::2] = shuffled(near)[:, ::2]
    assert (one.release.envelope.distances(lied) > 1).mean() > 0.9


def test_a_single_gap_changes_little(guarded, near):
    envelope = guarded().release.envelope
    holed = near.copy()
    holed[:, 3] = np.nan
    assert np.median(np.abs(envelope.distances(holed) - envelope.distances(near))) < 0.1


def test_no_value_makes_a_distance_that_is_none(guarded, near):
    envelope = guarded().release.envelope
    largest = np.finfo(np.float32).max
    for value in (largest, -largest, np.finfo(np.float32).tiny, -0.0, np.nan):
        x = near.copy()
        x[:, 2] = value
        assert np.isfinite(envelope.distances(x)).all()
        assert np.isfinite(envelope.distances(np.full_like(near, value))).all()


def test_an_infinite_value_never_reaches_the_model(guarded, near):
    one = guarded()
    body = {**one.row(near[0]), one.names[0]: 1e39}
    status, answer = one.ask(rows=[body])
    assert status == 400 and "not finite" in answer["error"]


def test_the_mark_stands_in_the_record(guarded, near):
    one = guarded()
    far = bounded(one, shuffled(near))[0]
    one.ask(rows=[one.row(near[0]), one.row(far)])
    [first, second] = one.decisions()
    assert (first.doubts, first.distance) == ([], one.release.envelope.distances(near[:1])[0])
    assert second.distance > 1 and len(second.doubts) == 1


def test_a_release_without_an_envelope_says_that_nobody_measured(guarded, near):
    one = guarded(changed={"envelope": None})
    status, answer = one.ask(rows=[one.row(near[0])])
    assert status == 200 and answer["predictions"][0]["distance"] is None and answer["predictions"][0]["doubts"] == []


def test_how_many_rows_are_measured_at_once_changes_no_distance(guarded, near):
    envelope = guarded().release.envelope
    holed = np.where(np.random.default_rng(2).random(near.shape) < 0.05, np.float32(np.nan), near)
    for x in (near, holed):
        alone = np.concatenate([envelope.distances(x[index : index + 1]) for index in range(len(x))])
        np.testing.assert_array_equal(envelope.distances(x), alone)


def test_a_guard_that_fails_takes_no_answer_with_it(guarded, near):
    class Broken:
        def distances(self, x):
            raise FloatingPointError

    one = guarded(changed={"envelope": Broken()})
    status, answer = one.ask(rows=[one.row(near[0])])
    assert status == 200 and answer["predictions"][0]["distance"] is None


def test_a_batch_holds_requests_that_have_no_row_at_all(guarded, near):
    from inference.path.distance import measure_distance
    from inference.path.request import PathRequest

    envelope = guarded().release.envelope
    blind, seen = PathRequest(servers=["a"]), PathRequest(x=near[:2])
    measure_distance(envelope, "refuse")([blind, seen])
    assert blind.distance == [] and len(seen.distance) == 2 and not isinstance(seen.refused, RequestRefused)
