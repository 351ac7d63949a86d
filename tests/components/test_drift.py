"""Distances between training and held-out data; the page that shows them is checked where the pipeline made it."""


import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.drift.distance import ks_distance

numbers = arrays(np.float64, st.integers(30, 80), elements=st.floats(-5, 5, width=16))


@settings(deadline=None)  # the first call imports scipy
@given(numbers, numbers)
def test_the_distance_is_that_of_scipy(a, b):
    from scipy.stats import ks_2samp

    assert np.isclose(ks_distance(a, b), ks_2samp(a, b, method="asymp").statistic)


def test_unknown_values_count_on_neither_side_and_too_few_give_no_distance():
    values = np.arange(40.0)
    assert ks_distance(np.append(values, np.nan), values) == 0.0
    assert ks_distance(values, np.full(40, np.nan)) is None
