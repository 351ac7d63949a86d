"""Warming texts, histories, as-of joins, calendar terms."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presage.errors import InputError
from presage.features.calendar import calendar_terms
from presage.features.declaration import load_view
from presage.features.history import histories
from presage.features.join import as_of
from presage.features.online import online_rows, unseen_rows
from presage.features.warming import warming_text
from presage.features.windows import compute

VIEW = load_view(Path(__file__).parents[2] / "feature_store" / "views" / "server_windows.yaml")
START, MINUTE = datetime(2026, 3, 2, tzinfo=UTC), timedelta(minutes=1)
TIME = pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("coverage", "text"),
    [
        ([1.0, 1.0, 1.0], None),
        ([0.5, 0.5, 0.5], None),
        ([1.0, 0.25, 1 / 24], "15m of 6h"),
        ([0.1, 1.0, 1.0], "2m of 15m"),
        ([0.2, 0.05, 30 / 21600], "30s of 6h"),
        ([0.0, 0.0, 0.0], "0s of 6h"),
        ([1.0, 1.0, 0.49], "176m of 6h"),
    ],
)
def test_warming_names_the_longest_window_that_is_covered_too_little(coverage: list[float], text: str | None) -> None:
    assert warming_text(coverage, VIEW) == text


def test_a_history_ends_at_its_tick_and_has_nan_where_nothing_was_seen() -> None:
    times = [START + number * MINUTE for number in (3, 8, 9, 18)]
    frame = pl.DataFrame({"entity": ["a"] * 4, "time": times, "cpu": [1.0, 2.0, 4.0, 8.0]}, schema_overrides={"time": TIME})
    table = compute(VIEW.bind(["cpu"]), frame, MINUTE, (START + 20 * MINUTE, START + 20 * MINUTE))
    history = histories(table.bound, table.ticks, table.rows.select("entity", "time"), length=5)
    np.testing.assert_array_equal(history[0, :, 0], np.array([np.nan, 1.0, 3.0, np.nan, 8.0], np.float32))
    [row] = online_rows(table, START + 20 * MINUTE)
    np.testing.assert_array_equal(row.history[-5:], history[0])
    assert row.history.shape == (72, 1)
    np.testing.assert_array_equal(row.values, table.rows.select(table.bound.names).to_numpy()[0])


def test_histories_of_unknown_entities_and_times_are_nan() -> None:
    table = compute(VIEW.bind(["cpu"]), pl.DataFrame({"entity": ["a"], "time": [START], "cpu": [1.0]}, schema_overrides={"time": TIME}), 5 * MINUTE)
    keys = pl.DataFrame({"entity": ["b", "a", "a"], "time": [START, START - 60 * MINUTE, START]}, schema_overrides={"time": TIME})
    history = histories(table.bound, table.ticks, keys, length=3)
    assert np.isnan(history[:2]).all()
    assert history[2, -1, 0] == 1.0


def test_an_entity_first_heard_of_after_the_tick_is_known_but_unseen() -> None:
    bound = VIEW.bind(["cpu"])
    [row] = unseen_rows(bound, ["new"], START)
    assert np.isnan(row.values[:-4]).all()
    np.testing.assert_allclose(row.values[-4:], [0, 1, 0, 1], atol=1e-6)
    assert warming_text(row.coverage, VIEW) == "0s of 6h"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=15), st.sets(st.tuples(st.sampled_from("abc"), st.integers(0, 8)), max_size=15))
def test_the_join_gives_the_latest_row_at_or_before_and_none_too_old(keys: list[tuple[str, int]], ticks: set[tuple[str, int]]) -> None:
    left = pl.DataFrame(
        [(e, START + m * MINUTE, i) for i, (e, m) in enumerate(keys)], schema={"entity": pl.String, "time": TIME, "label": pl.Int64}, orient="row"
    )
    right = pl.DataFrame(
        [(e, START + 5 * k * MINUTE, float(k)) for e, k in sorted(ticks)], schema={"entity": pl.String, "time": TIME, "cpu": pl.Float32}, orient="row"
    )
    joined = as_of(left, right, max_age=10 * MINUTE)
    assert joined["label"].to_list() == list(range(len(keys)))
    for (entity, minute), found in zip(keys, joined["cpu"], strict=True):
        allowed = [k for e, k in ticks if e == entity and minute - 10 <= 5 * k <= minute]
        assert found == (max(allowed) if allowed else None)


def test_a_name_in_both_tables_is_refused() -> None:
    table = pl.DataFrame({"entity": ["a"], "time": [START], "cpu": [1.0]}, schema_overrides={"time": TIME})
    with pytest.raises(InputError, match="Both tables hold a column 'cpu'"):
        as_of(table, table)


def test_calendar_terms_turn_once_a_day_and_once_a_week_from_monday() -> None:
    monday = int(START.timestamp())
    hour_sin, hour_cos, week_sin, week_cos = calendar_terms(
        ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos"), np.array([monday, monday + 6 * 3600, monday + 7 * 86400])
    )
    np.testing.assert_allclose(hour_sin, [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(hour_cos, [1, 0, 1], atol=1e-6)
    assert (week_sin[0], week_cos[0]) == (week_sin[2], week_cos[2]) == (0.0, 1.0)
