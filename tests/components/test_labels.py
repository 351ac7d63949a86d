"""A label says: an incident is active now, or starts within the horizon; and nothing is said where the future is not known."""

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from builders.fleets import START, one_metric, with_incidents
from hypothesis import given
from hypothesis import strategies as st

from components.featurize.features import featurize
from components.label.clusters import TOUCH, number_clusters
from components.label.labels import label
from components.label.rows import label_rows
from presage.errors import InputError
from presage.features.declaration import load_view
from presage.governance.model_policy import load_model_policy
from presage.telemetry.schema import INCIDENT_SCHEMA, INTERVAL_SCHEMA, TIME

ROOT = Path(__file__).parents[2]
VIEW, POLICY = ROOT / "feature_store/views/server_windows.yaml", ROOT / "policies/models/incident.yaml"
DAY = {"a": [0.1, 0.2] * 300, "b": [0.3, 0.4] * 300}  # ten hours
HORIZON = timedelta(hours=1)
TICK = timedelta(minutes=5)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def incidents_of(spans: list[tuple[str, float, float]]) -> pl.DataFrame:
    return number_clusters(pl.DataFrame([(entity, at(start), at(end), None) for entity, start, end in spans], schema=INCIDENT_SCHEMA, orient="row"))


def ticks_of(entities: list[str], count: int) -> pl.DataFrame:
    keys = [(entity, START + TICK * index) for entity in entities for index in range(count)]
    return pl.DataFrame(keys, schema={"entity": pl.String, "time": TIME}, orient="row")


def all_labelled(entities: list[str], hours: float) -> pl.DataFrame:
    return pl.DataFrame([(entity, START, START + timedelta(hours=hours)) for entity in entities], schema=INTERVAL_SCHEMA, orient="row")


def labelled(spans: list[tuple[str, float, float]], hours: float = 8, entities: tuple[str, ...] = ("a",)) -> pl.DataFrame:
    return label_rows(ticks_of(list(entities), int(hours * 12) + 1), incidents_of(spans), all_labelled(list(entities), hours), HORIZON)


def test_a_row_is_positive_from_a_horizon_before_the_start_to_the_end():
    rows = labelled([("a", 120, 150)])
    positive = rows.filter(pl.col("label") == 1)["time"]
    assert (positive.min(), positive.max()) == (at(60), at(150))


def test_strict_labels_leave_out_rows_inside_an_incident():
    rows = labelled([("a", 120, 150)])
    assert rows.filter((pl.col("label") == 1) & pl.col("strict").is_null())["time"].to_list() == [at(minute) for minute in range(120, 151, 5)]
    assert rows.filter(pl.col("strict") == 1)["time"].max() == at(115)


def test_another_entitys_incident_does_not_count():
    rows = labelled([("a", 120, 150)], entities=("a", "b"))
    assert rows.filter(pl.col("entity") == "b")["label"].sum() == 0


def test_nothing_is_said_where_the_horizon_leaves_the_labelled_time():
    rows = labelled([("a", 470, 480)])  # at the very end
    assert rows.filter(pl.col("label").is_null())["time"].min() == at(425)
    assert rows.filter(pl.col("time") > at(420))["label"].null_count() == 12


def test_two_incidents_in_reach_name_the_earlier_one():
    rows = labelled([("a", 120, 130), ("a", 150, 160)])
    named = dict(rows.filter(pl.col("incident").is_not_null()).select("time", "incident").iter_rows())
    assert named[at(100)] == 0
    assert named[at(135)] == 1


spans = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 480), st.integers(0, 90)), min_size=0, max_size=6)


@given(spans)
def test_labels_equal_the_definition_tick_by_tick(drawn):
    incidents = [(entity, float(start), float(start + length)) for entity, start, length in drawn]
    rows = labelled(incidents, entities=("a", "b"))
    for row in rows.to_dicts():
        t = (row["time"] - START) / timedelta(minutes=1)
        mine = [(start, end) for entity, start, end in incidents if entity == row["entity"]]
        if t + 60 > 480:
            assert row["label"] is None
            continue
        active = any(start <= t <= end for start, end in mine)
        imminent = any(t < start <= t + 60 for start, _ in mine)
        assert row["label"] == int(active or imminent)
        assert row["strict"] == (None if active else int(imminent))
        assert (row["incident"] is not None) == (row["label"] == 1)


@given(spans)
def test_clusters_are_apart_by_more_than_the_touching_distance(drawn):
    table = incidents_of([(entity, float(start), float(start + length)) for entity, start, length in drawn])
    held = table.group_by("cluster").agg(start=pl.col("start").min(), end=pl.col("end").max()).sort("start").to_dicts()
    for earlier, later in pairwise(held):
        assert later["start"] - earlier["end"] > TOUCH
    for cluster in table.partition_by("cluster"):
        ordered = cluster.sort("start").to_dicts()
        for index, row in enumerate(ordered[1:], 1):
            assert row["start"] <= max(before["end"] for before in ordered[:index]) + TOUCH


def test_incidents_that_touch_within_half_an_hour_are_one_cluster_on_any_server():
    table = incidents_of([("a", 0, 10), ("b", 40, 50), ("a", 81, 90)])
    assert table["cluster"].to_list() == [0, 0, 1]


@pytest.fixture
def steps(tmp_path):
    """Runs featurize and label over telemetry; returns the labels folder."""
    def run(telemetry):
        telemetry.save(tmp_path / "validated")
        featurize(tmp_path / "validated", load_view(VIEW), tmp_path / "features")
        label(tmp_path / "validated", tmp_path / "features", load_model_policy(POLICY), tmp_path / "labels")
        return tmp_path / "labels"

    return run


def test_labels_are_written_for_every_feature_row(steps):
    folder = steps(with_incidents(one_metric(DAY), [("a", at(300), at(320))]))
    rows = pl.read_parquet(folder / "labels.parquet")
    assert rows.height == pl.read_parquet(folder.parent / "features" / "rows.parquet").height
    assert rows["label"].sum() == 17


def test_a_source_without_labels_is_refused_in_a_sentence(steps, tmp_path):
    with pytest.raises(InputError, match=r"fleet\.csv has no labels.*Give a column"):
        steps(one_metric(DAY))
    assert not (tmp_path / "labels").exists()


def test_one_class_only_is_refused_in_a_sentence(steps):
    with pytest.raises(InputError, match="none of the 216 labelled ticks is an incident, one class only"):
        steps(with_incidents(one_metric(DAY), []))


def test_nothing_but_incidents_is_refused_in_a_sentence(steps):
    with pytest.raises(InputError, match="all 216 labelled ticks are incidents"):
        steps(with_incidents(one_metric(DAY), [("a", at(0), at(600)), ("b", at(0), at(600))]))


def test_labelled_time_shorter_than_the_horizon_is_refused_in_a_sentence(steps):
    short = one_metric({"a": [0.1, 0.2] * 20})
    with pytest.raises(InputError, match="labelled with its whole horizon of 1h"):
        steps(with_incidents(short, [("a", at(10), at(20))]))
