"""Venn–Abers: equal to the definition, to the published library, and never an impossible interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presage.errors import ArtifactRefused, InputError
from presage.package.calibration import VennAbers

pairs = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=30)


def isotonic(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pool adjacent violators: distinct scores and their fitted values."""
    distinct, group = np.unique(scores, return_inverse=True)
    blocks: list[list[float]] = []
    for weight, total in zip(np.bincount(group), np.bincount(group, weights=labels), strict=True):
        blocks.append([total, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [one + other for one, other in zip(blocks[-1], last, strict=True)]
    return distinct, np.concatenate([[positive / size] * int(count) for positive, size, count in blocks])


def by_definition(scores: np.ndarray, labels: np.ndarray, score: float, label: int) -> float:
    distinct, values = isotonic(np.append(scores, score), np.append(labels, label))
    return values[np.searchsorted(distinct, score)]


@given(pairs, st.floats(-1, 13))
def test_both_ends_are_the_isotonic_fit_with_the_score_added_as_either_label(calibration, score):
    scores, labels = (np.array(column, dtype=float) for column in zip(*calibration, strict=True))
    fitted = VennAbers.fit(scores, labels)
    for at in (score, *scores[:5]):
        risk, p0, p1 = fitted.one(at)
        assert p0 == pytest.approx(by_definition(scores, labels, at, 0), abs=1e-12)
        assert p1 == pytest.approx(by_definition(scores, labels, at, 1), abs=1e-12)
        assert 0 <= p0 <= risk <= p1 <= 1


@given(pairs)
def test_one_score_and_many_scores_give_the_same(calibration):
    scores, labels = zip(*calibration, strict=True)
    fitted = VennAbers.load(VennAbers.fit(scores, labels).to_bytes())
    asked = np.linspace(-1, 13, 29)
    assert [fitted.one(score) for score in asked.tolist()] == list(zip(*(column.tolist() for column in fitted.apply(asked)), strict=True))


def test_it_equals_the_published_library():
    from venn_abers.venn_abers import VennAbers as Published

    generator = np.random.default_rng(7)
    scores, asked = np.round(generator.random(3000), 4), np.round(generator.random(500), 4)
    labels = (generator.random(3000) < scores**2).astype(int)
    published = Published()
    published.fit(np.stack([1 - scores, scores], axis=1), labels)
    risk, interval = published.predict_proba(np.stack([1 - asked, asked], axis=1))
    ours = VennAbers.fit(scores, labels).apply(asked)
    np.testing.assert_allclose(ours, [risk[:, 1], interval[:, 0], interval[:, 1]], atol=1e-12)


def test_a_missing_score_stays_missing():
    fitted = VennAbers.fit([0.1, 0.9], [0, 1])
    assert np.isnan(fitted.one(float("nan"))).all()
    assert np.isnan(fitted.apply([float("nan"), 0.5])).tolist() == [[True, False]] * 3


@pytest.mark.parametrize(("scores", "labels", "says"), [
    ([], [], "no row"), ([0.1], [0, 1], "1 scores and 2 labels"), ([np.nan], [1], "not finite"), ([0.1], [2], "other than 0 and 1"),
])
def test_what_cannot_be_fitted_is_said(scores, labels, says):
    with pytest.raises(InputError, match=says):
        VennAbers.fit(scores, labels)


def test_the_same_fit_gives_the_same_bytes():
    assert VennAbers.fit([0.2, 0.8, 0.4], [0, 1, 0]).to_bytes() == VennAbers.fit([0.2, 0.8, 0.4], [0, 1, 0]).to_bytes()


def test_arrays_that_are_no_step_functions_are_refused():
    good = VennAbers.fit([0.1, 0.5, 0.9], [0, 1, 1])
    bad = [
        VennAbers(good.thresholds[::-1].copy(), good.p0, good.p1),
        VennAbers(good.thresholds, good.p1, good.p0),
        VennAbers(good.thresholds, good.p0[:-1], good.p1),
        VennAbers(good.thresholds, good.p0, good.p1 * 2),
        VennAbers(good.thresholds, good.p0 * np.nan, good.p1),
    ]
    for arrays in bad:
        with pytest.raises(ArtifactRefused) as refused:
            VennAbers.load(arrays.to_bytes())
        assert refused.value.reason == "format"
