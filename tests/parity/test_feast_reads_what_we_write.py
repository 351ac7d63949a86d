"""Feast and presage over the same rows: online through the plug-in, training rows through both as-of joins."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from presage.errors import InputError
from presage.features.declaration import BoundView, load_view
from presage.features.join import as_of
from presage.features.online import online_rows
from presage.features.store import OnlineStore, open_online_store
from presage.features.windows import FeatureTable, compute, coverage_names
from presage.telemetry.clock import StreamClock

ROOT = Path(__file__).parents[2]
START, MINUTE, HOUR = datetime(2026, 3, 2, tzinfo=UTC), timedelta(minutes=1), timedelta(hours=1)
METRICS = ["system.cpu.utilization", "asd.m01"]
TIME = pl.Datetime("us", "UTC")


@pytest.fixture(scope="module")
def bound() -> BoundView:
    return load_view(ROOT / "feature_store" / "views" / "server_windows.yaml").bind(METRICS)


@pytest.fixture(scope="module")
def table(bound: BoundView) -> FeatureTable:
    noise = np.random.default_rng(5)
    frames = []
    for entity, first, last in (("web-01", 0, 600), ("web-02", 120, 260), ("db-01", 30, 600)):
        seen = [minute for minute in range(first, last) if noise.random() < 0.9]
        values = {metric: noise.normal(size=len(seen)) for metric in METRICS}
        frames.append(pl.DataFrame({"entity": entity, "time": [START + minute * MINUTE for minute in seen], **values}))
    return compute(bound, pl.concat(frames).with_columns(pl.col("time").cast(TIME)), MINUTE)


@pytest.fixture(scope="module")
def feast(bound: BoundView, table: FeatureTable, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A Feast repository in a folder of its own, by the committed feature_store.yaml with the paths moved."""
    os.environ.setdefault("FEAST_USAGE", "False")
    from feast import FeatureStore

    from feature_store.definitions import registry_objects

    folder = tmp_path_factory.mktemp("repository")
    table.rows.drop("warming").write_parquet(folder / "rows.parquet")
    settings = (ROOT / "feature_store" / "feature_store.yaml").read_text()
    (folder / "feature_store.yaml").write_text(settings.replace("../.presage/plane/volumes/online-store/", "").replace("../.presage/", ""))
    repository = FeatureStore(repo_path=str(folder))
    repository.apply(list(registry_objects(bound, folder / "rows.parquet")))
    return repository


@pytest.fixture(scope="module")
def ours(feast: Any) -> OnlineStore:
    return open_online_store(f"sqlite:{Path(feast.repo_path) / 'online.db'}")


def test_feast_reads_online_what_the_stream_wrote(feast: Any, ours: OnlineStore, bound: BoundView, table: FeatureTable) -> None:
    tick = START + 9 * HOUR
    ours.put_service("incident", bound, "simulated", StreamClock(tick.timestamp(), tick.timestamp(), 60.0))
    ours.write("incident", online_rows(table, tick))
    asked = ["db-01", "web-01", "nobody"]
    answer = feast.get_online_features(feast.get_feature_service("incident"), [{"entity": entity} for entity in asked]).to_dict()
    for name, place in [*((name, ("values", i)) for i, name in enumerate(bound.names)), *((n, ("coverage", i)) for i, n in enumerate(coverage_names(bound)))]:
        stored = [None if row is None else float(getattr(row, place[0])[place[1]]) for row in ours.read("incident", asked)]
        assert answer[name] == [None if value is None or np.isnan(value) else value for value in stored]
    assert [value is not None for value in answer["coverage_6h"]] == [True, True, False]


def test_feast_materializes_into_our_store_and_never_over_newer_rows(feast: Any, ours: OnlineStore, bound: BoundView, table: FeatureTable) -> None:
    ours.put_service("incident", bound, "another run", StreamClock(START.timestamp(), START.timestamp(), 1.0))
    assert ours.entities("incident") == []
    newest = online_rows(table, START + 9 * HOUR + 50 * MINUTE)
    ours.write("incident", [row for row in newest if row.entity == "db-01"])
    feast.materialize(START, START + 9 * HOUR)
    stored = {row.entity: row for row in ours.read("incident", ["web-01", "db-01"]) if row is not None}
    assert {entity: row.time for entity, row in stored.items()} == {"web-01": (START + 9 * HOUR).timestamp(), "db-01": newest[0].time}
    [expected] = [row for row in online_rows(table, START + 9 * HOUR) if row.entity == "web-01"]
    assert stored["web-01"].values.tobytes() == expected.values.tobytes()
    assert stored["web-01"].coverage.tobytes() == expected.coverage.tobytes()


def test_our_join_gives_the_training_rows_that_feast_gives(feast: Any, bound: BoundView, table: FeatureTable) -> None:
    noise = np.random.default_rng(11)
    minutes = [*noise.integers(-30, 1100, 60).tolist(), 0, 5, 30, 255, 260, 615, 616, 955, 956]
    entities = noise.choice(["web-01", "web-02", "db-01", "nobody"], len(minutes))
    keys = pl.DataFrame({"entity": entities, "time": [START + minute * MINUTE for minute in minutes]}, schema_overrides={"time": TIME})
    keys = keys.unique(["entity", "time"], maintain_order=True).with_row_index("label")
    mine = as_of(keys, table.rows.drop("warming"), max_age=bound.view.longest)
    theirs = feast.get_historical_features(keys.rename({"time": "event_timestamp"}).to_pandas(), feast.get_feature_service("incident")).to_df()
    names = [*bound.names, *coverage_names(bound)]
    # Feast leaves out a key whose only rows are too old or still to come; ours is there, and null.
    theirs = mine.select("label").join(pl.from_pandas(theirs).with_columns(pl.col("label").cast(pl.UInt32)), on="label", how="left", maintain_order="left")
    assert theirs.height == keys.height
    assert 5 < mine["coverage_6h"].null_count() < keys.height - 20
    for name in names:
        assert mine[name].to_list() == theirs[name].cast(pl.Float32).fill_nan(None).to_list(), name


def test_a_view_of_another_declaration_is_refused(feast: Any, bound: BoundView, ours: OnlineStore) -> None:
    from feature_store.definitions import registry_objects

    other = bound.view.bind(["system.cpu.utilization"])
    with pytest.raises(InputError, match=f"follows declaration {other.version}, the online store's service 'incident' follows {bound.version}"):
        feast.apply(list(registry_objects(other, Path(feast.repo_path) / "rows.parquet")))


def test_the_committed_definitions_follow_the_declaration() -> None:
    from feature_store.definitions import incident, server, server_windows
    from presage.telemetry.metrics import CATALOGUE

    declared = load_view(ROOT / "feature_store" / "views" / "server_windows.yaml").bind(list(CATALOGUE))
    assert [field.name for field in server_windows.features] == [*declared.names, *coverage_names(declared)]
    assert server_windows.tags["version"] == incident.tags["version"] == declared.version
    assert server.name == declared.view.entity
