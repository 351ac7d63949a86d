"""Durations read back as they were written."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presage.durations import format_duration, parse_duration
from presage.errors import InputError


@given(st.integers(1, 10**7))
def test_every_whole_duration_survives_the_round_trip(seconds: int):
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "15", "m", "-5m", "1.5h", "5 m", "0s", "15min"])
def test_anything_else_is_refused_with_the_value(text: str):
    with pytest.raises(InputError, match="no duration"):
        parse_duration(text)
