"""Batch scoring: the same answers as online, cell by cell; killed and started again, the same output and nothing twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders.doors import URI, Online, by_row, decisions, feature_table, features_folder, state_of

from components.score.given import Given
from components.score.looked_up import LookedUp
from components.score.scoring import SCHEMA, score
from presage.errors import ArtifactRefused, InputError
from presage.files import read_json

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def table(serving_site):
    return feature_table(serving_site)


@pytest.fixture(scope="module")
def ticks(table):
    """Forty ticks: the first ones, where servers are still warming, and later ones."""
    times = table.rows["time"].unique().sort()
    return [*times[:20], *times[400:420]]


@pytest.fixture
def online(serving_site, tmp_path):
    opened = Online(serving_site, tmp_path / "online")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def features(table, ticks, tmp_path_factory):
    return features_folder(table, tmp_path_factory.mktemp("batch") / "features", ticks)


@pytest.fixture
def state(serving_site, tmp_path):
    return state_of(serving_site, tmp_path / "state")


def read(folder):
    return pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("chunk-*.parquet"))])


def logged(state):
    """Ids in the prediction log."""
    files = sorted((state.root / "predictions").rglob("decisions/**/*.parquet"))
    return pl.concat([pl.read_parquet(path, columns=["prediction_id", "endpoint"]) for path in files])


def job_of(state):
    [job] = (state.root / "batch").iterdir()
    return job


@pytest.fixture
def expected(online, table, ticks):
    """What the server decides on the same rows: (server, tick) → cells."""
    for tick in ticks:
        status, _ = online.ask(servers=online.apply(table, tick))
        assert status == 200
    return by_row(online.decisions())


def test_looked_up_rows_are_answered_as_online_cell_by_cell(expected, ticks, features, state, tmp_path):
    out = tmp_path / "out"
    score(lambda contract: LookedUp(features, contract), URI, state, out, explain=True)
    assert by_row(decisions(job_of(state) / "journal")) == expected and len(expected) == 4 * len(ticks)
    found = read(out)
    assert dict(found.schema) == SCHEMA and found.height == len(expected)
    for row in found.iter_rows(named=True):
        cells = expected[row["entity"], row["time"].timestamp()]
        reasons = [(reason["feature"], reason["contribution"]) for reason in row["reasons"]]
        values = (row["score"], row["risk"], row["low"], row["high"], row["tier"], row["rung"], row["because"], row["used"])
        assert tuple(map(repr, values)) == cells[3:11]
        assert (repr(row["warming"] is not None), repr(row["distance"]), repr(row["doubts"]), repr(reasons)) == (cells[11], *cells[13:])
    assert found["warming"].count() > 0 and (found["reasons"].list.len() == 3).all()


def test_chosen_rows_are_answered_alone(features, state, tmp_path):
    wanted = pl.read_parquet(features / "rows.parquet", columns=["entity", "time"]).sample(9, seed=1)
    wanted.write_parquet(tmp_path / "wanted.parquet")
    out = tmp_path / "out"
    score(lambda contract: LookedUp(features, contract, tmp_path / "wanted.parquet"), URI, state, out)
    assert read(out).select("entity", "time").equals(wanted.sort("time", "entity"))
    assert read_json(out / "summary.json")["rows"] == 9


def test_given_rows_are_answered_as_online_and_a_bad_one_takes_only_itself_down(serving_site, online, state, tmp_path):
    names = [field.name for field in serving_site.contract.inputs]
    x = serving_site.x[:40].copy()
    x[3] = np.nan
    x[5, 0] = 1e30
    x[7, 4:9] = np.nan
    pl.DataFrame(x, schema=names, orient="row").fill_nan(None).with_columns(entity=pl.lit("web-01")).write_parquet(tmp_path / "rows.parquet")
    out = tmp_path / "out"
    score(lambda contract: Given(tmp_path / "rows.parquet", contract), URI, state, out, explain=True)
    found = read(out)
    assert found["refused"].count() == 2 and set(found["entity"]) == {"web-01"}
    for place, row in enumerate(found.iter_rows(named=True)):
        status, answer = online.ask(rows=[{name: float(value) for name, value in zip(names, x[place], strict=True) if not np.isnan(value)}])
        if status != 200:
            assert answer["error"] == row["refused"] and row["risk"] is None
            continue
        [decision] = online.decisions()[-1:]
        for name in ("score", "risk", "low", "high", "tier", "rung", "because", "used", "distance", "doubts"):
            assert repr(row[name]) == repr(getattr(decision, name)), name
        assert [(reason["feature"], reason["contribution"]) for reason in row["reasons"]] == decision.reasons
    assert read_json(out / "summary.json")["refused"] == 2


def test_predictions_are_in_the_prediction_log_once(features, state, tmp_path):
    for attempt in ("first", "second"):
        score(lambda contract: LookedUp(features, contract), URI, state, tmp_path / attempt)
    found = logged(state)
    assert set(found["endpoint"]) == {"batch"} and found["prediction_id"].is_unique().all()
    assert set(found["prediction_id"]) == set(read(tmp_path / "first")["prediction_id"])


def test_the_same_job_again_scores_nothing_and_gives_the_same_files(features, state, tmp_path):
    made = []
    for attempt in ("first", "second"):
        score(lambda contract: LookedUp(features, contract), URI, state, tmp_path / attempt, chunk=64, scored=made.append)
    assert made == [0, 1, 2]
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


KILLED = """
import os, signal, sys
from pathlib import Path
from components.score import scoring
from components.score.looked_up import LookedUp
from presage.state import State
features, state, out, where, chunk = sys.argv[1:]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if where == "journal":            # the records are kept, the chunk's file is not
    frame = scoring._frame
    scoring._frame = lambda rows: die() if rows[0].prediction_id.split("-")[1] == f"{int(chunk) * 16:08x}" else frame(rows)
scored = (lambda number: die() if number == int(chunk) else None) if where == "chunk" else (lambda number: None)
scoring.score(lambda contract: LookedUp(Path(features), contract), "presage://incident:local", State.open(state), Path(out), chunk=16, scored=scored)
"""


def killed(features, state, out, where, chunk):
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(features), str(state.root), str(out), where, str(chunk)], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert process.returncode == -signal.SIGKILL, process.stderr


@pytest.mark.slow
def test_killed_and_started_again_the_output_is_the_same_and_nothing_is_there_twice(serving_site, features, state, tmp_path):
    killed(features, state, tmp_path / "out", "chunk", 0)
    killed(features, state, tmp_path / "out", "journal", 3)
    killed(features, state, tmp_path / "out", "journal", 3)
    killed(features, state, tmp_path / "out", "chunk", 6)
    assert not (tmp_path / "out").exists()
    score(lambda contract: LookedUp(features, contract), URI, state, tmp_path / "out", chunk=16)
    whole = state_of(serving_site, tmp_path / "whole")
    score(lambda contract: LookedUp(features, contract), URI, whole, tmp_path / "at once", chunk=16)
    names = sorted(path.name for path in (tmp_path / "at once").iterdir())
    assert len(names) == 11
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "at once" / name).read_bytes(), name
    assert logged(state)["prediction_id"].sort().equals(logged(whole)["prediction_id"].sort())
    assert logged(state)["prediction_id"].is_unique().all()


def test_a_release_that_the_gate_refuses_scores_nothing(features, state, tmp_path):
    [entry] = json.loads((state.releases / "index.json").read_bytes())["manifests"]
    victim = max((state.releases / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.chmod(0o600)
    victim.write_bytes(content)
    with pytest.raises(ArtifactRefused):
        score(lambda contract: LookedUp(features, contract), URI, state, tmp_path / "out")
    assert entry and not (tmp_path / "out").exists() and not (state.root / "batch").exists()


def test_features_of_another_version_are_refused(table, serving_site, state, tmp_path):
    folder = features_folder(table, tmp_path / "features", [table.rows["time"].max()])
    document = read_json(folder / "features.json")
    (folder / "features.json").write_text(json.dumps({**document, "version": "0" * 16}))
    with pytest.raises(InputError, match="holds features of version 0000000000000000, incident reads"):
        score(lambda contract: LookedUp(folder, contract), URI, state, tmp_path / "out")


def test_rows_that_nobody_has_are_named(features, state, tmp_path):
    rows = pl.read_parquet(features / "rows.parquet", columns=["entity", "time"]).head(2)
    rows.with_columns(entity=pl.lit("nobody")).write_parquet(tmp_path / "wanted.parquet")
    with pytest.raises(InputError, match="names 2 rows that the source does not give, first nobody at"):
        score(lambda contract: LookedUp(features, contract, tmp_path / "wanted.parquet"), URI, state, tmp_path / "out")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"nonsense": [1.0]}, "'nonsense' is no input of incident"),
        ({"entity": ["a"]}, "holds no input of incident"),
        ({"system.cpu.utilization.mean_15m": ["hot"]}, "holds String, not numbers"),
    ],
    ids=["unknown", "no input", "text"],
)
def test_columns_that_are_no_inputs_are_refused(columns, sentence, state, tmp_path):
    pl.DataFrame(columns).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(InputError, match=sentence):
        score(lambda contract: Given(tmp_path / "rows.parquet", contract), URI, state, tmp_path / "out")


def test_a_file_that_is_no_parquet_is_refused(state, tmp_path):
    (tmp_path / "rows.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="cannot be read as rows"):
        score(lambda contract: Given(tmp_path / "rows.parquet", contract), URI, state, tmp_path / "out")
