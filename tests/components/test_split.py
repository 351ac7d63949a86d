"""Parts follow each other in time with room between them, hold both classes, and share nothing."""

from datetime import datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders.fleets import START
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from components.label.clusters import number_clusters
from components.label.rows import label_rows
from components.split.boundaries import PARTS, Room, place_boundaries
from components.split.leakage import Reach, find_leaks
from components.split.parts import assign_parts
from presage.errors import InputError
from presage.telemetry.schema import INCIDENT_SCHEMA, INTERVAL_SCHEMA, TIME

HORIZON, WINDOW, TICK = timedelta(hours=1), timedelta(hours=6), timedelta(minutes=5)
ROOM = Room(before=HORIZON, after=WINDOW + timedelta(minutes=30))
REACH = Reach(HORIZON, WINDOW)


def labels_of(days: float, unlabelled: float, incidents: list[tuple[float, float]], entities: tuple[str, ...] = ("a", "b")) -> pl.DataFrame:
    """Ticks of `days`, labelled from day `unlabelled` on; incidents of entity `a` by (start day, hours)."""
    count = int(days * 288)
    keys = [(entity, START + TICK * index) for entity in entities for index in range(count)]
    ticks = pl.DataFrame(keys, schema={"entity": pl.String, "time": TIME}, orient="row")
    spans = [("a", START + timedelta(days=start), START + timedelta(days=start, hours=hours), None) for start, hours in incidents]
    table = number_clusters(pl.DataFrame(spans, schema=INCIDENT_SCHEMA, orient="row"))
    known = [(entity, START + timedelta(days=unlabelled), START + TICK * (count - 1)) for entity in entities]
    return label_rows(ticks, table, pl.DataFrame(known, schema=INTERVAL_SCHEMA, orient="row"), HORIZON)


def every(hours: float, days: float, length: float = 0.5) -> list[tuple[float, float]]:
    return [(start / 24, length) for start in np.arange(hours, days * 24 - 1, hours)]


def split_of(labels: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, datetime]]:
    boundaries = place_boundaries(labels, TICK, ROOM)
    return assign_parts(labels, boundaries, ROOM), vars(boundaries)


def test_unlabelled_time_comes_first_and_two_thirds_of_the_labelled_time_come_before_the_test():
    _, boundaries = split_of(labels_of(45, 30, every(12, 45)))
    assert boundaries["train"] == START + timedelta(days=30)
    assert boundaries["test"] == START + timedelta(days=40)
    assert boundaries["train"] < boundaries["select"] < boundaries["calibrate"] < boundaries["test"]


def test_where_all_is_labelled_the_first_third_teaches_detectors_and_nothing_else():
    folds, boundaries = split_of(labels_of(15, 0, every(8, 15)))
    assert boundaries["train"] == START + timedelta(days=5)
    assert set(folds.filter(pl.col("time") < boundaries["train"])["part"]) == {"unsupervised", "purged"}


def test_labels_of_the_unsupervised_third_do_not_move_a_boundary():
    incidents = every(8, 15)
    same = [incident for incident in incidents if incident[0] >= 5]
    assert split_of(labels_of(15, 0, incidents))[1] == split_of(labels_of(15, 0, same))[1]


def test_every_row_stands_in_exactly_one_part():
    labels = labels_of(15, 0, every(8, 15))
    folds, _ = split_of(labels)
    assert folds.select("entity", "time").equals(labels.select("entity", "time"))
    assert set(folds["part"]) == {*PARTS, "purged"}


def test_a_long_incident_keeps_its_positives_in_one_part():
    incidents = [*every(10, 6.5), (9.2, 40.0), *[(start, 0.5) for start in np.arange(11.5, 15, 0.3)]]
    labels = labels_of(15, 0, incidents)
    held = split_of(labels)[0].join(labels, on=["entity", "time"]).filter((pl.col("label") == 1) & (pl.col("part").is_in(PARTS[1:])))
    assert held.group_by("incident").agg(pl.col("part").n_unique())["part"].max() == 1


def test_the_forward_chain_numbers_blocks_of_training_time_in_order():
    labels = labels_of(45, 30, every(12, 45))
    folds = split_of(labels)[0]
    numbered = folds.filter(pl.col("fold").is_not_null())
    spans = numbered.group_by("fold").agg(first=pl.col("time").min(), last=pl.col("time").max()).sort("fold").to_dicts()
    assert set(numbered["part"]) == {"train"}
    assert [span["fold"] for span in spans] == [0, 1, 2, 3, 4]
    assert all(later["first"] - earlier["last"] > HORIZON + WINDOW for earlier, later in pairwise(spans))


@pytest.mark.parametrize("incidents", [[(14.0, 1.0)], [(6.0, 1.0)], []])
def test_too_few_incidents_for_four_parts_are_said_in_a_sentence(incidents):
    with pytest.raises(InputError, match=r"holds an incident of its own in each: .* Give a longer history"):
        split_of(labels_of(15, 0, [*incidents, (5.2, 0.5)]))


fleets = st.tuples(st.integers(8, 20), st.integers(0, 1), st.lists(st.tuples(st.floats(0, 0.97), st.floats(0.1, 30)), min_size=8, max_size=25))


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(fleets)
def test_no_part_reaches_into_a_later_one_and_the_independent_check_agrees(drawn):
    days, labelled_late, spans = drawn
    labels = labels_of(days, days / 2 if labelled_late else 0, sorted((share * days, hours) for share, hours in spans))
    try:
        folds, _ = split_of(labels)
    except InputError:
        assume(False)
    times = {part: folds.filter(pl.col("part") == part)["time"] for part in PARTS}
    for earlier, later in combinations([part for part in PARTS if len(times[part])], 2):
        told = times[earlier].max() + (HORIZON if earlier != "unsupervised" else timedelta(0))
        assert told <= times[later].min() - WINDOW
    rows = folds.join(labels, on=["entity", "time"]).filter((pl.col("label") == 1) & pl.col("part").is_in(PARTS[1:]))
    assert rows.group_by("cluster").agg(pl.col("part").n_unique())["part"].max() in (1, None)


@pytest.fixture
def clean(tmp_path: Path):
    """(folds, labels, features file) of a split in which nothing leaks."""
    labels = labels_of(15, 0, every(8, 15))
    folds, _ = split_of(labels)
    rng = np.random.default_rng(7)
    noise = {f"cpu.mean_{name}": rng.normal(size=labels.height).astype(np.float32) for name in ("15m", "1h")}
    features = tmp_path / "rows.parquet"
    labels.select("entity", "time").with_columns(**{name: pl.Series(values) for name, values in noise.items()}).write_parquet(features)
    return folds, labels, features


def test_a_clean_split_has_no_finding(clean):
    assert find_leaks(*clean, REACH) == []


def test_a_planted_row_of_the_test_in_training_is_found(clean):
    folds, labels, features = clean
    first = folds.filter(pl.col("part") == "test")["time"].min()
    moved = folds.with_columns(part=pl.when((pl.col("part") == "test") & (pl.col("time") == first)).then(pl.lit("train")).otherwise("part"))
    assert any("they overlap" in finding for finding in find_leaks(moved, labels, features, REACH))


def test_a_boundary_without_a_purge_is_found(clean):
    _, labels, features = clean
    bare = Room(before=timedelta(0), after=timedelta(0))
    folds = assign_parts(labels, place_boundaries(labels, TICK, ROOM), bare)
    findings = find_leaks(folds, labels, features, REACH)
    assert any("labels of train tell of times" in finding for finding in findings)
    assert any("labels of fold 0 reach into the feature windows of fold 1" in finding for finding in findings)


def test_a_row_in_two_parts_is_found(clean):
    folds, labels, features = clean
    twice = pl.concat([folds, folds.filter(pl.col("part") == "test").head(1)])
    assert find_leaks(twice, labels, features, REACH)[0].startswith("1 rows stand in two parts")


def test_one_incident_in_two_parts_is_found(clean):
    folds, labels, features = clean
    merged = labels.with_columns(incident=pl.when(pl.col("label") == 1).then(pl.lit(99, dtype=pl.Int32)))
    assert any(finding.startswith("incident 99 has positive rows in train and") for finding in find_leaks(folds, merged, features, REACH))


@pytest.mark.parametrize("disguise", [lambda label: label, lambda label: 5 - 3 * label])
def test_a_feature_that_says_the_label_in_other_words_is_found(clean, disguise):
    folds, labels, features = clean
    table = pl.read_parquet(features).join(labels.select("entity", "time", "label"), on=["entity", "time"])
    table.with_columns(ticket=disguise(pl.col("label").cast(pl.Float32))).drop("label").write_parquet(features)
    assert [finding for finding in find_leaks(folds, labels, features, REACH) if "the feature ticket equals the label" in finding]


def test_a_leak_fails_the_step_and_the_findings_stay_to_be_read(tmp_path, clean):
    from components.split.folds import split
    from components.split.leakage import LeakageFound
    from presage.features.declaration import load_view
    from presage.files import read_json, write_json

    _, labels, features = clean
    (tmp_path / "labels").mkdir()
    (tmp_path / "features").mkdir()
    labels.write_parquet(tmp_path / "labels" / "labels.parquet")
    write_json(tmp_path / "labels" / "labels.json", {"horizon_minutes": 60})
    bound = load_view(Path(__file__).parents[2] / "feature_store/views/server_windows.yaml").bind(["cpu"])
    write_json(tmp_path / "features" / "features.json", {**bound.as_document(), "version": bound.version})
    leaky = pl.read_parquet(features).join(labels.select("entity", "time", ticket=pl.col("label").cast(pl.Float32)), on=["entity", "time"])
    leaky.write_parquet(tmp_path / "features" / "rows.parquet")
    with pytest.raises(LeakageFound, match="the feature ticket equals the label"):
        split(tmp_path / "labels", tmp_path / "features", tmp_path / "folds")
    assert read_json(tmp_path / "folds" / "folds.json")["leakage"]["findings"]
