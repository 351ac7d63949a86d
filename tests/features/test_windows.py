"""The engine against the definitions, computed sample by sample."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presage.errors import InputError
from presage.features.declaration import BoundView, FeatureView, load_view
from presage.features.windows import FeatureTable, compute

VIEW = load_view(Path(__file__).parents[2] / "feature_store" / "views" / "server_windows.yaml")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SMALL = replace(VIEW, windows=(15 * MINUTE, 35 * MINUTE, HOUR), lags=(20 * MINUTE, 55 * MINUTE), history=6)
START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
Samples = list[tuple[str, datetime, dict[str, float | None]]]


def readings(samples: Samples, metrics: tuple[str, ...] = ("cpu", "memory")) -> pl.DataFrame:
    rows = [{"entity": entity, "time": time, **{metric: values.get(metric) for metric in metrics}} for entity, time, values in samples]
    schema = {"entity": pl.String, "time": pl.Datetime("us", "UTC"), **dict.fromkeys(metrics, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def expected_feature(aggregation: str, samples: list[tuple[float, float]]) -> float | None:
    """samples: (seconds before the tick, value), oldest first."""
    if not samples:
        return None
    values = np.array([value for _, value in samples])
    hours = np.array([seconds for seconds, _ in samples]) / 3600
    match aggregation:
        case "mean":
            return math.fsum(values) / len(values)
        case "std":
            centred = values - math.fsum(values) / len(values)
            return math.sqrt(math.fsum(centred**2) / len(values))
        case "min":
            return float(values.min())
        case "max":
            return float(values.max())
        case "last":
            return float(values[-1])
        case "delta":
            return float(values[-1] - values[0])
        case "slope":
            if len(values) < 2:
                return None
            t, x = hours - math.fsum(hours) / len(hours), values - math.fsum(values) / len(values)
            return math.fsum(t * x) / math.fsum(t * t)
    raise AssertionError(aggregation)


def expected_row(bound: BoundView, samples: Samples, entity: str, tick: datetime, period: timedelta) -> dict[str, float | None] | None:
    """One row straight from the definitions; None where the entity was not seen in the longest window."""
    view, own = bound.view, sorted([sample for sample in samples if sample[0] == entity], key=lambda sample: sample[1])
    own = [sample for sample in own if any(value is not None for value in sample[2].values())]

    def within(start: datetime, end: datetime) -> Samples:
        return [sample for sample in own if start < sample[1] <= end]

    def seen(part: Samples, metric: str) -> list[tuple[float, float]]:
        found = [((time - tick).total_seconds(), values.get(metric)) for _, time, values in part]
        return [(seconds, value) for seconds, value in found if value is not None]

    if not within(tick - view.longest, tick):
        return None
    row: dict[str, float | None] = {}
    covered = [np.float32(min(1.0, len(within(tick - window, tick)) / (window / period))) for window in view.windows]
    for metric in bound.metrics:
        for window, coverage in zip(view.windows, covered, strict=True):
            part = seen(within(tick - window, tick), metric) if coverage >= view.min_coverage else []
            for aggregation in view.aggregations:
                row[f"{aggregation} {metric} {window}"] = expected_feature(aggregation, part)
        for lag in view.lags:
            row[f"lag {metric} {lag}"] = expected_feature("mean", seen(within(tick - lag - view.tick, tick - lag), metric))
    day = (tick - tick.replace(hour=0, minute=0)).total_seconds() / 86400
    week = (tick - START).total_seconds() / 604800
    row |= {"hs": math.sin(math.tau * day), "hc": math.cos(math.tau * day), "ws": math.sin(math.tau * week), "wc": math.cos(math.tau * week)}
    row |= {f"coverage {window}": float(coverage) for window, coverage in zip(view.windows, covered, strict=True)}
    row["warming"] = float(any(coverage < view.min_coverage for coverage in covered))
    return row


def assert_equals_definitions(table: FeatureTable, samples: Samples, period: timedelta, tolerance: float = 2e-6) -> None:
    bound, entities = table.bound, sorted({entity for entity, _, _ in samples})
    ticks = [START + number * bound.view.tick for number in range(-40, 80)]
    seen = [time for _, time, values in samples if any(value is not None for value in values.values())]
    first, last = min(seen, default=START), max(seen, default=START)
    wanted = [
        (entity, tick, row)
        for entity in entities
        for tick in ticks
        if first <= tick <= last and (row := expected_row(bound, samples, entity, tick, period)) is not None
    ]
    assert [(entity, tick) for entity, tick, _ in wanted] == list(table.rows.select("entity", "time").iter_rows())
    scale = {metric: max((abs(v) for _, _, values in samples if (v := values.get(metric)) is not None), default=1.0) or 1.0 for metric in bound.metrics}
    for (entity, tick, row), found in zip(wanted, table.rows.iter_rows(), strict=True):
        for (name, value), got in zip(row.items(), found[2:], strict=True):
            if value is None or got is None:
                assert value is got is None, (entity, tick, name, value, got)
                continue
            # Each aggregation is as good as float32 and its samples are; a slope divides by the samples' own spread in time.
            metric = name.split(" ")[1] if " " in name else ""
            slack = 1e-12 * scale.get(metric, 1.0) * (1e6 if name.startswith("slope") else 1.0)
            assert math.isclose(value, float(got), rel_tol=tolerance, abs_tol=slack + 1e-30), (entity, tick, name, value, got)


@st.composite
def irregular_samples(draw: st.DrawFn) -> Samples:
    samples: Samples = []
    offset = draw(st.sampled_from([0.0, 1.0, -273.15, 1e6, 1e10]))
    for entity in draw(st.sampled_from([["a"], ["a", "b"], ["a", "b", "c"]])):
        seconds = draw(st.lists(st.integers(0, 3 * 3600), min_size=1, max_size=25, unique=True))
        for second in seconds:
            values = {metric: draw(st.none() | st.floats(-100, 100, width=16).map(lambda value: value + offset)) for metric in ("cpu", "memory")}
            samples.append((entity, START + timedelta(seconds=second), values))
    return samples


@given(irregular_samples(), st.sampled_from([MINUTE, 5 * MINUTE, 20 * MINUTE]))
@settings(max_examples=60, deadline=None)
def test_rows_equal_the_definitions_on_irregular_samples_gaps_nulls_and_large_offsets(samples: Samples, period: timedelta) -> None:
    assert_equals_definitions(compute(SMALL.bind(["cpu", "memory"]), readings(samples), period), samples, period)


def fleet(hours: int, entities: int = 3, period: timedelta = MINUTE, seed: int = 0) -> pl.DataFrame:
    """A fleet with noise, gaps, nulls and values that dwarf their spread."""
    noise = np.random.default_rng(seed)
    count = hours * HOUR // period
    frame = pl.DataFrame(
        {
            "entity": np.repeat([f"server-{number}" for number in range(entities)], count),
            "time": [START + number * period for number in range(1, count + 1)] * entities,
            "cpu": noise.normal(size=count * entities),
            "memory": 1e10 + noise.normal(size=count * entities),
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    lost, gone = noise.random(frame.height) < 0.1, noise.random(frame.height) < 0.05
    return frame.with_columns(cpu=pl.when(pl.Series(lost)).then(None).otherwise("cpu")).filter(~pl.Series(gone))


def as_bytes(table: pl.DataFrame) -> dict[str, bytes]:
    return {name: table[name].to_numpy().tobytes() for name in table.columns if name != "entity"} | {"entity": repr(table["entity"].to_list()).encode()}


@pytest.mark.parametrize("view", [VIEW, SMALL], ids=["declared", "small"])
def test_the_last_hours_give_the_same_bits_as_all_history(view: FeatureView) -> None:
    bound, history = view.bind(["cpu", "memory"]), fleet(hours=20)
    batch = compute(bound, history, MINUTE)
    for tick in (START + 9 * HOUR, START + 13 * HOUR + 35 * MINUTE, START + 20 * HOUR):
        recent = history.filter((pl.col("time") > tick - view.longest) & (pl.col("time") <= tick)).sample(fraction=1, shuffle=True, seed=1)
        live = compute(bound, recent, MINUTE, (tick, tick))
        assert as_bytes(live.rows) == as_bytes(batch.rows.filter(pl.col("time") == tick))
        reach = tick - (view.history - 1) * view.tick
        assert as_bytes(live.ticks) == as_bytes(batch.ticks.filter(pl.col("time").is_between(reach, tick)))


def test_one_entity_alone_gives_the_same_bits_as_the_fleet() -> None:
    bound, history = VIEW.bind(["cpu", "memory"]), fleet(hours=8, entities=40)
    one = pl.col("entity") == "server-7"
    assert as_bytes(compute(bound, history.filter(one), MINUTE).rows) == as_bytes(compute(bound, history, MINUTE).rows.filter(one))


def test_a_spread_of_a_thousandth_survives_a_value_of_ten_billion() -> None:
    view = SMALL.bind(["cpu"])
    samples: Samples = [("a", START + number * MINUTE, {"cpu": 1e10 + 1e-3 * (number % 2)}) for number in range(1, 61)]
    [row] = compute(view, readings(samples, ("cpu",)), MINUTE, (START + HOUR, START + HOUR)).rows.iter_rows(named=True)
    assert row["cpu.std_1h"] == pytest.approx(0.0005, rel=0.01)  # 1e10 itself moves in steps of 2e-6


def test_a_window_excludes_its_start_and_includes_its_end() -> None:
    samples: Samples = [("a", START, {"cpu": 100.0}), ("a", START + 10 * MINUTE, {"cpu": 1.0}), ("a", START + 15 * MINUTE, {"cpu": 3.0})]
    rows = compute(SMALL.bind(["cpu"]), readings(samples, ("cpu",)), 5 * MINUTE).rows
    [row] = rows.filter(pl.col("time") == START + 15 * MINUTE).iter_rows(named=True)
    assert (row["cpu.mean_15m"], row["cpu.delta_15m"], row["cpu.std_15m"]) == (2.0, 2.0, 1.0)
    assert row["coverage_15m"] == pytest.approx(2 / 3)


def test_one_sample_has_no_spread_and_no_slope() -> None:
    rows = compute(SMALL.bind(["cpu"]), readings([("a", START, {"cpu": 5.0})], ("cpu",)), 15 * MINUTE).rows
    [row] = rows.iter_rows(named=True)
    assert (row["cpu.std_15m"], row["cpu.delta_15m"], row["cpu.last_15m"], row["cpu.slope_15m"]) == (0.0, 0.0, 5.0, None)


def test_a_window_covered_too_little_is_null_and_the_row_is_warming() -> None:
    samples: Samples = [("a", START + number * MINUTE, {"cpu": 1.0}) for number in range(1, 21)]
    rows = compute(SMALL.bind(["cpu"]), readings(samples, ("cpu",)), MINUTE).rows
    [row] = rows.filter(pl.col("time") == START + 20 * MINUTE).iter_rows(named=True)
    assert row["cpu.mean_15m"] == 1.0
    assert row["cpu.mean_35m"] == 1.0  # 20 of 35 expected samples: enough
    assert row["cpu.mean_1h"] is None  # 20 of 60
    assert row["coverage_1h"] == pytest.approx(1 / 3)
    assert row["warming"] is True


def test_an_instant_with_one_metric_seen_counts_as_covered() -> None:
    samples: Samples = [("a", START + number * MINUTE, {"cpu": 1.0, "memory": None}) for number in range(1, 61)]
    [row] = compute(SMALL.bind(["cpu", "memory"]), readings(samples), MINUTE, (START + HOUR, START + HOUR)).rows.iter_rows(named=True)
    assert (row["coverage_1h"], row["warming"], row["cpu.mean_1h"], row["memory.mean_1h"]) == (1.0, False, 1.0, None)


def test_an_instant_without_any_metric_is_not_seen() -> None:
    samples: Samples = [("a", START + number * MINUTE, {"cpu": 1.0 if number % 2 else None}) for number in range(1, 61)]
    [row] = compute(SMALL.bind(["cpu"]), readings(samples, ("cpu",)), MINUTE, (START + HOUR, START + HOUR)).rows.iter_rows(named=True)
    assert row["coverage_1h"] == 0.5


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_what_float32_cannot_hold_counts_as_not_seen(bad: float) -> None:
    samples: Samples = [("a", START, {"cpu": 2.0, "memory": 1.0}), ("a", START - MINUTE, {"cpu": bad, "memory": 1.0})]
    [row] = compute(SMALL.bind(["cpu", "memory"]), readings(samples), 5 * MINUTE).rows.iter_rows(named=True)
    assert (row["cpu.mean_15m"], row["cpu.max_15m"]) == (2.0, 2.0)


def test_of_two_readings_at_one_instant_the_first_counts() -> None:
    frame = readings([("a", START, {"cpu": 2.0}), ("a", START, {"cpu": 50.0})], ("cpu",))
    [row] = compute(SMALL.bind(["cpu"]), frame, 15 * MINUTE).rows.iter_rows(named=True)
    assert row["cpu.mean_15m"] == 2.0


def test_a_silent_server_keeps_its_row_until_its_longest_window_is_empty() -> None:
    samples: Samples = [("quiet", START, {"cpu": 1.0})] + [("loud", START + number * MINUTE, {"cpu": 1.0}) for number in range(121)]
    rows = compute(SMALL.bind(["cpu"]), readings(samples, ("cpu",)), MINUTE).rows.filter(pl.col("entity") == "quiet")
    assert rows["time"].max() == START + HOUR - 5 * MINUTE
    assert rows["warming"].all()


def test_no_row_looks_past_what_the_readings_reach() -> None:
    rows = compute(SMALL.bind(["cpu"]), readings([("a", START + 7 * MINUTE, {"cpu": 1.0})], ("cpu",)), MINUTE).rows
    assert rows.height == 0
    assert rows.columns[2:-4] == SMALL.bind(["cpu"]).names


def test_no_readings_give_an_empty_table_with_every_column() -> None:
    table = compute(SMALL.bind(["cpu"]), readings([], ("cpu",)), MINUTE)
    assert (table.rows.height, table.ticks.height) == (0, 0)
    assert set(table.rows.dtypes) == {pl.String, pl.Datetime("us", "UTC"), pl.Float32, pl.Boolean}


def test_a_metric_the_source_lacks_is_null() -> None:
    [row] = compute(SMALL.bind(["cpu", "disk"]), readings([("a", START, {"cpu": 1.0})], ("cpu",)), 15 * MINUTE).rows.iter_rows(named=True)
    assert (row["cpu.mean_15m"], row["disk.mean_15m"]) == (1.0, None)


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(InputError, match="not a time with a zone"):
        compute(SMALL.bind(["cpu"]), readings([("a", START, {})], ("cpu",)).with_columns(pl.col("time").dt.replace_time_zone(None)), MINUTE)


def test_a_stray_timestamp_is_a_sentence_not_an_empty_memory() -> None:
    stray = [("a", START, {"cpu": 1.0}), ("b", datetime(1, 1, 1, tzinfo=UTC), {"cpu": 1.0})]
    with pytest.raises(InputError, match="Quarantine stray timestamps"):
        compute(SMALL.bind(["cpu"]), readings(stray, ("cpu",)), MINUTE)
