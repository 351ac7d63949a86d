"""`presage.features.get` over a real store: what the model sees, by name."""

import polars as pl
import pytest

import presage
from presage.errors import InputError, PlaneError
from presage.features.store import open_online_store


@pytest.fixture
def store(serving_site):
    return f"sqlite:{serving_site.online_store}"


def test_rows_come_in_the_order_asked_for_with_the_model_s_feature_names(store, serving_site):
    asked = serving_site.servers[::-1]
    table = presage.features.get(*asked, store=store)
    assert table["entity"].to_list() == asked
    assert table.columns[2:] == [*serving_site.contract.view.names, "coverage_15m", "coverage_1h", "coverage_6h"]


def test_values_are_those_of_the_store_and_unknown_ones_are_null(store, serving_site):
    opened = open_online_store(store, read_only=True)
    names = opened.entities("incident")
    stored = opened.read("incident", names)
    opened.close()
    table = presage.features.get(store=store)
    assert table["entity"].to_list() == names
    for row, kept in zip(table.iter_rows(named=True), stored, strict=True):
        for name, value in zip(serving_site.contract.view.names, kept.values.tolist(), strict=True):
            assert row[name] == value or (row[name] is None and value != value)  # noqa: PLR0124 - NaN alone differs from itself
    assert table.select(pl.col(pl.Float32).is_nan().any()).row(0).count(True) == 0


def test_an_unknown_server_names_the_near_ones(store, serving_site):
    with pytest.raises(InputError, match=f"Near it: .*{serving_site.servers[0]}"):
        presage.features.get(serving_site.servers[0] + "x", store=store)


def test_an_unknown_service_is_one_sentence(store):
    with pytest.raises(InputError, match="no feature service 'nothing'"):
        presage.features.get(store=store, service="nothing")


def test_without_a_plane_the_sentence_says_how_to_start_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path))
    with pytest.raises(PlaneError, match="Start it with `presage up`"):
        presage.features.get("web-01")
