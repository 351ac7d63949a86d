"""`presage predict` and `presage.predict` against a real server on a small real release."""

from pathlib import Path

import jsonschema_rs
import orjson
import polars as pl
import pytest

import presage
from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER
from presage.cli import main
from presage.errors import InputError, PlaneError
from presage.predictions import known_servers

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "predict.json"


@pytest.fixture(scope="module")
def endpoint(serving_site, tmp_path_factory):
    with ServerProcess(serving_site, tmp_path_factory.mktemp("server"), "--patience_seconds=1") as running:
        yield running.address


@pytest.fixture
def rows(serving_site):
    names = [field.name for field in serving_site.contract.inputs]
    return [dict(zip(names, map(float, row), strict=True)) for row in serving_site.x[200:300]]


def test_servers_are_predicted_in_the_order_asked_for(endpoint, serving_site):
    asked = serving_site.servers[::-1]
    found = presage.predict(asked, endpoint=endpoint)
    assert [prediction.server for prediction in found] == asked
    assert all(low <= prediction.risk <= high for prediction in found for low, high in [prediction.interval])
    assert all(prediction.reasons and prediction.rung == "primary" for prediction in found)


def test_no_name_means_every_server_and_a_newcomer_is_warming(endpoint):
    found = {prediction.server: prediction for prediction in presage.predict(endpoint=endpoint)}
    assert sorted(found) == known_servers(endpoint=endpoint)
    assert found[NEWCOMER].warming is not None
    assert found[NEWCOMER].tier == "none"


def test_the_json_is_one_line_that_follows_the_committed_schema(endpoint, capsys):
    assert main(["predict", "--endpoint", endpoint, "-o", "json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    jsonschema_rs.validator_for(orjson.loads(SCHEMA.read_bytes()), validate_formats=True).validate(orjson.loads(line))


def test_the_table_names_servers_risk_and_tier(endpoint, serving_site, capsys):
    assert main(["predict", serving_site.servers[0], "--endpoint", endpoint]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["SERVER", "RISK", "INTERVAL", "TIER", "REASONS", "MODEL", "FRESH"]
    assert row.startswith(serving_site.servers[0])


def test_list_servers_names_them_one_a_line(endpoint, capsys):
    assert main(["predict", "--list-servers", "--endpoint", endpoint]) == 0
    assert capsys.readouterr().out.splitlines() == known_servers(endpoint=endpoint)


def test_an_unknown_server_is_one_sentence_with_the_near_names(endpoint, serving_site, capsys):
    wrong = serving_site.servers[0] + "x"
    assert main(["predict", wrong, "--endpoint", endpoint]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert f"There is no server '{wrong}'" in captured.err
    assert serving_site.servers[0] in captured.err.split("Near it:")[1]


def test_a_file_of_the_pipeline_s_own_rows_is_predicted_and_named(endpoint, rows, tmp_path, capsys):
    names = [f"web-{index}" for index in range(len(rows))]
    beside = pl.DataFrame({"entity": names, "time": ["2026-01-01T00:00:00Z"] * len(rows), "coverage_6h": [1.0] * len(rows)})
    pl.concat([beside, pl.DataFrame(rows)], how="horizontal").write_parquet(tmp_path / "rows.parquet")
    assert main(["predict", "--file", str(tmp_path / "rows.parquet"), "--no-explain", "--endpoint", endpoint]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]} == set(names)


def test_more_rows_than_a_request_takes_are_asked_in_parts(endpoint, rows):
    many = rows * 6
    together = presage.predict(rows=many, endpoint=endpoint)
    alone = presage.predict(rows=rows, explain=False, endpoint=endpoint)
    assert [prediction.risk for prediction in together] == [prediction.risk for prediction in alone] * 6
    assert len({prediction.prediction_id for prediction in together}) == len(many)


def test_a_feature_the_model_does_not_know_is_the_server_s_sentence(endpoint):
    with pytest.raises(InputError, match="'nonsense'"):
        presage.predict(rows=[{"nonsense": 1.0}], endpoint=endpoint)


def test_servers_and_rows_exclude_each_other(endpoint, tmp_path, capsys):
    with pytest.raises(InputError, match="not both"):
        presage.predict(["a"], rows=[{}], endpoint=endpoint)
    assert main(["predict", "a", "--file", str(tmp_path / "rows.csv"), "--endpoint", endpoint]) == 2
    assert "Leave out one of the two." in capsys.readouterr().err


def test_without_a_plane_the_sentence_says_how_to_start_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path))
    assert main(["predict"]) == 1
    assert capsys.readouterr().err == f"Nothing is serving in {tmp_path}. Start it with `presage up`.\n"


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://[", "nonsense", "ftp://127.0.0.1"])
def test_an_endpoint_that_does_not_answer_is_one_sentence(endpoint):
    with pytest.raises(PlaneError) as caught:
        presage.predict(["a"], endpoint=endpoint)
    assert endpoint in caught.value.message
