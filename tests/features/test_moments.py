"""Merging moments: exact, neutral on nothing, and in a fixed shape."""

from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from presage.features.moments import Moments, empty, fold, merge, of_samples, trailing


def bits(moments: Moments) -> list[bytes]:
    return [(getattr(moments, field.name) + 0.0).tobytes() for field in fields(moments)]


def straight(values: np.ndarray, times: np.ndarray) -> list[float]:
    t, x = times - times.mean(), values - values.mean()
    return [len(values), times.mean(), values.mean(), t @ t, t @ x, x @ x, values.min(), values.max(), values[0], values[-1]]


def test_nothing_is_neutral_on_either_side() -> None:
    some, nothing = of_samples(np.array([[3.0, np.nan]]), np.array([-5.0, -1.0])), empty((1, 2))
    assert bits(merge(nothing, some, 300.0)) == bits(some)
    assert bits(merge(some, nothing, 0.0)) == bits(some)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_folding_runs_equals_summing_them_up(counts: list[int], seed: int) -> None:
    noise = np.random.default_rng(seed)
    values, times = noise.normal(1e6, 1, sum(counts)), np.sort(noise.uniform(-300, 0, sum(counts)))
    folded = fold(of_samples(values[None], times), np.array(counts))
    ends = np.cumsum(counts)
    for run, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
        found = [getattr(folded, field.name)[0, run] for field in fields(folded)]
        np.testing.assert_allclose(found, straight(values[start:end], times[start:end]), rtol=1e-9, atol=1e-6)


@given(st.sets(st.integers(1, 80), min_size=1, max_size=4), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_trailing_windows_of_any_width_equal_summing_their_bins_up(widths: set[int], extra: int, seed: int) -> None:
    noise = np.random.default_rng(seed)
    ticks = max(widths) + extra
    values = noise.normal(size=ticks)
    found = trailing(of_samples(values[None], np.zeros(ticks)), widths, tick=300.0)
    assert found.keys() == widths
    for width, windows in found.items():
        assert windows.n.shape == (1, extra + 1)
        for place in range(extra + 1):
            end = place + max(widths)
            times = 300.0 * (np.arange(end - width, end) - end + 1)
            got = [getattr(windows, field.name)[0, place] for field in fields(windows)]
            np.testing.assert_allclose(got, straight(values[end - width : end], times), rtol=1e-9, atol=1e-6)
