"""`presage log …` and `presage replay` as people and programs start them."""

import os
import subprocess
import sys

import jsonschema_rs
import orjson
import pytest
from builders.logs import ROOT, decision, floats, masking, snapshot, write_log
from builders.replays import answer, publish

from inference.log.subjects import Subjects
from presage.errors import UsageError
from presage.prediction_log import day


@pytest.fixture(scope="module")
def answered(serving_site, tmp_path_factory):
    return answer(serving_site, tmp_path_factory.mktemp("answered"))


@pytest.fixture
def presage(tmp_path):
    def run(*arguments, code=0):
        environment = {**os.environ, "PRESAGE_STATE": str(tmp_path / "state"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "presage.cli", *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=120
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def document(done, schema):
    found = orjson.loads(done.stdout.splitlines()[-1])
    validator = jsonschema_rs.validator_for(orjson.loads((ROOT / "docs/schemas" / f"{schema}.json").read_bytes()), validate_formats=True)
    validator.validate(found)
    return found


@pytest.mark.long
def test_show_tells_a_looked_up_decision_with_its_features_by_name(presage, answered, serving_site):
    said = answered.answers[0]
    shown = document(presage("log", "show", said["prediction_id"], "--log", answered.log, "-o", "json"), "log-show")
    assert (round(shown["risk"], 6), shown["tier"], shown["server"], shown["rung"]) == (said["risk"], said["tier"], said["server"], "primary")
    assert [one["name"] for one in shown["inputs"]] == serving_site.contract.view.names
    assert [one["name"] for one in shown["history"]] == list(serving_site.contract.view.metrics) and len(shown["history"][0]["values"]) == 72
    table = presage("log", "show", said["prediction_id"], "--log", answered.log).stdout
    assert said["server"] in table and "INPUTS" in table and serving_site.contract.view.names[0] in table


def test_show_tells_a_given_row_by_the_contract_s_names(presage, answered, serving_site):
    shown = document(presage("log", "show", answered.answers[-1]["prediction_id"], "--log", answered.log, "-o", "json"), "log-show")
    assert [one["name"] for one in shown["inputs"]] == [field.name for field in serving_site.contract.inputs] and shown["history"] == []


@pytest.mark.long
def test_an_unknown_prediction_and_a_place_without_a_log_are_said_in_a_sentence(presage, answered, tmp_path):
    assert "no decision is called 'nobody'" in presage("log", "show", "nobody", "--log", answered.log, code=1).stderr
    assert "no prediction log lies here" in presage("log", "show", "x", "--log", tmp_path, code=1).stderr
    assert "There is no prediction log" in presage("log", "query", "SELECT 1", code=1).stderr


@pytest.mark.long
def test_sql_counts_what_was_answered(presage, answered):
    found = document(presage("log", "query", "SELECT count(*) AS n, min(day) AS day FROM decisions", "--log", answered.log, "-o", "json"), "log-query")
    assert found["columns"] == ["n", "day"] and found["rows"][0][0] == len(answered.answers) and not found["more"]
    cut = document(presage("log", "query", "SELECT * FROM decisions", "--log", answered.log, "--most", "2", "-o", "json"), "log-query")
    assert len(cut["rows"]) == 2 and cut["more"]
    assert "cannot be answered" in presage("log", "query", "SELEC 1", "--log", answered.log, code=2).stderr


@pytest.mark.slow
def test_a_replay_by_the_same_release_is_quiet_and_by_another_can_fail(presage, answered, tmp_path):
    where = ("--log", answered.log, "--store", answered.releases, "--trust", answered.keys)
    same = document(presage("replay", "--release", "incident:1", *where, "--fail-on-tier-change", "-o", "json"), "replay")
    assert same["same"] == same["decisions"] == len(answered.answers) and same["different"] == 0 and same["tier_changes"] == []
    other = publish(answered, tmp_path / "other", primary="simpler")
    changed = document(presage("replay", "--release", other, *where, "--fail-on-tier-change", "-o", "json", code=1), "replay")
    assert changed["release"] in other and changed["tier_changes"] and changed["largest"]
    table = presage("replay", "--release", other, *where).stdout
    assert "TIER" in table and changed["largest"][0]["prediction_id"] in table


@pytest.mark.long
def test_a_release_that_is_not_there_or_not_trusted_is_refused(presage, answered, tmp_path):
    (tmp_path / "nobody").mkdir()
    where = ("--log", answered.log, "--store", answered.releases)
    assert "incident" in presage("replay", "--release", "incident:99", *where, "--trust", answered.keys, code=1).stderr
    assert presage("replay", "--release", "incident:1", *where, "--trust", tmp_path / "nobody", code=1).stderr
    assert "no release" in presage("replay", "--release", "Incident!", *where, "--trust", answered.keys, code=2).stderr


@pytest.mark.slow
def test_erasure_by_command_leaves_nothing_that_opens(presage, tmp_path):
    keys = tmp_path / "state" / "keys" / "subjects.db"
    by = masking({"subject: none": "subject: context.customer", "named: {domain: internal,": "named: {customer: subject, domain: internal,",
                  "otherwise: internal ": "otherwise: subject "}, keys)  # fmt: skip
    log = write_log(tmp_path, [decision(1, x=floats(1, 2), context={"customer": "Ann"})], by=by)
    shown = document(presage("log", "show", "id-1-0", "--log", log, "-o", "json"), "log-show")
    assert (shown["opened"], shown["context"], shown["inputs"][0]) == ("opened", {"customer": "Ann"}, {"name": "cpu.mean_1h", "values": [1.0]})
    assert document(presage("log", "erase", "Ann", "--log", log, "--dry-run", "-o", "json"), "log-erase") == {
        "had_key": True, "decisions": 1, "snapshots": 0, "dry_run": True,
    }  # fmt: skip
    assert "Forgotten. 1 decisions" in presage("log", "erase", "Ann", "--log", log).stdout
    gone = document(presage("log", "show", "id-1-0", "--log", log, "-o", "json"), "log-show")
    assert (gone["opened"], gone["context"], gone["inputs"]) == ("sealed", {}, [])
    with Subjects.open(keys) as subjects:
        assert subjects.pseudonym("Ann") is None
    assert "no such subject" in presage("log", "erase", "Ann", "--log", log).stdout


@pytest.mark.slow
def test_synchronisation_and_counts_by_command(presage, tmp_path):
    log = write_log(tmp_path, [snapshot("server-1"), decision(1)])
    synced = document(presage("log", "sync", "--log", log, "--to", f"iceberg:sqlite:///{tmp_path}/c.db", "-o", "json"), "log-sync")
    assert [table["rows"] for table in synced["tables"]] == [1, 1]
    assert "decisions  1 files, 1 added" in presage("log", "sync", "--log", log, "--to", f"parquet:{tmp_path}/copy").stdout
    assert "names no warehouse" in presage("log", "sync", "--log", log, "--to", "s3", code=2).stderr
    counted = ("log", "aggregate", "--log", log, "--by", "tier", "--since", "2023-11-14", "--until", "2023-11-15")
    found = document(presage(*counted, "--epsilon", "2.5", "-o", "json"), "log-aggregate")
    assert found["left"] == pytest.approx(0.5) and len(found["counts"]) == 4
    assert "privacy budget of 3 is spent" in presage(*counted, "--epsilon", "1", code=1).stderr


def test_days_are_dates_or_how_long_ago():
    from datetime import UTC, date, datetime

    now = datetime(2026, 3, 10, 1, tzinfo=UTC)
    assert (day("2026-03-01", "--since", now), day("7d", "--since", now), day("2h", "--since", now)) == (date(2026, 3, 1), date(2026, 3, 3), date(2026, 3, 9))
    assert day(None, "--since") is None
    with pytest.raises(UsageError, match="--since 'soon' is no day"):
        day("soon", "--since")
