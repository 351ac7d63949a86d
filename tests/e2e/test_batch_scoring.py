"""`presage run batch-scoring` and `row-scoring`, through the pipeline's own runner, over a release that the pipeline made."""

import shutil
from pathlib import Path

import jsonschema_rs
import msgspec
import orjson
import polars as pl
import pytest

from presage.errors import UsageError
from presage.runs import score
from presage.state import State

ROOT = Path(__file__).parents[2]
SOURCE = "simulated:servers=2,days=1,seed=3"


@pytest.fixture(scope="module")
def state(trained_state, tmp_path_factory):
    """A state of its own with the trained release in it."""
    made = State.open(tmp_path_factory.mktemp("scoring") / "state")
    shutil.copytree(trained_state.releases, made.releases, dirs_exist_ok=True)
    shutil.copytree(trained_state.keys, made.keys, dirs_exist_ok=True)
    return made


@pytest.fixture(scope="module")
def scored(state):
    return score("batch-scoring", source=SOURCE, state=state, quiet=True)


def read(run):
    return pl.concat([pl.read_parquet(path) for path in sorted(Path(run.predictions).glob("chunk-*.parquet"))])


def test_every_server_is_scored_at_every_tick_by_the_primary(scored):
    table = read(scored)
    assert table.height == scored.rows > 500 and scored.refused == 0
    assert set(scored.rungs) == {"primary"} and sum(scored.tiers.values()) == scored.rows
    assert table.select("entity", "time").is_unique().all() and table["risk"].is_between(0, 1).all()


def test_its_document_follows_the_schema(scored):
    schema = orjson.loads((ROOT / "docs" / "schemas" / "run.json").read_bytes())
    jsonschema_rs.validator_for(schema).validate(orjson.loads(msgspec.json.encode(scored)))


@pytest.mark.slow
def test_asked_again_the_finished_job_answers(scored, state):
    again = score("batch-scoring", source=SOURCE, state=state, quiet=True)
    assert again.job == scored.job and read(again).equals(read(scored))
    files = sorted((state.root / "predictions").rglob("decisions/**/*.parquet"))
    ids = pl.concat([pl.read_parquet(path, columns=["prediction_id"]) for path in files])["prediction_id"]
    assert ids.is_unique().all() and len(ids) == scored.rows


@pytest.mark.slow
def test_rows_in_a_file_are_scored_with_reasons(scored, state, tmp_path):
    features = next((Path(scored.predictions).parents[1]).glob("featurize/features/rows.parquet"))
    rows = pl.read_parquet(features).filter(~pl.col("warming")).head(20)
    rows.select("entity", "time", *[name for name in rows.columns if "." in name]).write_parquet(tmp_path / "rows.parquet")
    run = score("row-scoring", rows=tmp_path / "rows.parquet", explain=True, state=state, quiet=True)
    table = read(run)
    assert table.select("entity", "time").equals(rows.select("entity", "time")) and run.rows == 20
    assert table["refused"].count() == 0


def test_rows_that_are_not_named_are_wrong_usage(state):
    with pytest.raises(UsageError, match="row-scoring needs --rows FILE"):
        score("row-scoring", state=state, quiet=True)
