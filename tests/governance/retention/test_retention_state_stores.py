"""Prediction logs, snapshots of runs and runs in the registry: what is due goes whole, and what points to it goes first."""

import os
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from builders.logs import DAY, NOON, WRITER, decision, snapshot, write_log
from builders.releases import copied, parts, world
from builders.retention import hold, terms

from components.package.registry import register
from inference.log.folder import TABLES, files
from presage.errors import InputError
from presage.files import write_json
from presage.governance.audit import AuditLog
from presage.governance.retention.applying import apply
from presage.governance.retention.journal import Journal
from presage.governance.retention.stores.mlflow_runs import MlflowRuns
from presage.governance.retention.stores.prediction_log import PredictionLog
from presage.governance.retention.stores.snapshots import Snapshots

RELEASE = "presage://incident:7@sha256:" + "7" * 64


def go(root, store, now, by=None, **options):
    return apply([store], by or terms(), AuditLog.open(root / "audit"), Journal(root / "retention"), lambda: now, **options)


def entries(root):
    return list(AuditLog.open(root / "audit").entries())


# The prediction log


def midnight(day):
    """The end of the day-th day of the log, whose first is 2023-11-14."""
    return datetime(2023, 11, 14, tzinfo=UTC) + timedelta(days=day + 1)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Two models' decisions over three days, in two regions, shipped by the real program."""
    root = tmp_path_factory.mktemp("log")
    rota = type(WRITER)(**{**{name: getattr(WRITER, name) for name in WRITER.__struct_fields__}, "model": "rota", "region": "us-east"})
    for day in range(3):
        rows = [snapshot("server-0", NOON + day * DAY - 60), decision(day, server="server-0", time=NOON + day * DAY, feature_time=NOON + day * DAY - 60)]
        write_log(root / "one", rows)
        write_log(root / "two", [decision(100 + day, server="server-1", time=NOON + day * DAY)], writer=rota)
    for path in (root / "two" / "log").rglob("*.parquet"):
        target = root / "one" / "log" / path.relative_to(root / "two" / "log")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    return root / "one" / "log"


@pytest.fixture
def copy(log, tmp_path):
    return shutil.copytree(log, tmp_path / "log")


def there(folder):
    return [(file.table, file.day.isoformat(), file.region) for table in TABLES for file in files(folder, table)]


def test_each_file_is_told_with_its_model_its_day_and_its_region(log):
    found = list(PredictionLog(log, terms()).items())
    assert [(one.id.partition("/")[0], one.model, one.tier, one.region) for one in found] == [
        ("decisions", "incident", "low", "eu-central"), ("decisions", "rota", "high", "us-east"),
    ] * 3 + [("snapshots", "incident", "low", "eu-central")] * 3  # fmt: skip
    assert found[0].release == "incident:1@sha256:0" and found[0].born == midnight(0) and found[-1].born == midnight(3)
    assert all((log / one.id).stat().st_size == one.bytes for one in found)


@pytest.mark.long
def test_a_day_s_file_goes_when_its_last_moment_is_old_enough_and_not_before(copy, tmp_path):
    for moment, left in ((timedelta(seconds=-1), 9), (timedelta(0), 8)):
        go(tmp_path, PredictionLog(copy, terms()), midnight(0) + timedelta(days=90) + moment)
        assert len(there(copy)) == left
    assert ("decisions", "2023-11-14", "eu-central") not in there(copy) and ("decisions", "2023-11-14", "us-east") in there(copy)
    assert entries(tmp_path)[0].subject.startswith("prediction-log/decisions/day=2023-11-14/region=eu-central/")


def test_online_rows_stay_a_day_longer_than_the_decisions_of_their_day(copy, tmp_path):
    """A decision of the day after may have read them: it can be replayed as long as it is there."""
    go(tmp_path, PredictionLog(copy, terms()), midnight(1) + timedelta(days=90))
    assert [found for found in there(copy) if found[2] == "eu-central"] == [
        ("decisions", "2023-11-16", "eu-central"), ("snapshots", "2023-11-15", "eu-central"), ("snapshots", "2023-11-16", "eu-central"),
    ]  # fmt: skip


@pytest.mark.long
def test_the_tier_of_the_model_and_not_of_the_day_decides(copy, tmp_path):
    go(tmp_path, PredictionLog(copy, terms()), midnight(30) + timedelta(days=90))
    assert {found[2] for found in there(copy)} == {"us-east"} and len(there(copy)) == 3
    go(tmp_path, PredictionLog(copy, terms()), midnight(30) + timedelta(days=365))
    assert there(copy) == [] and len({entry.facts["content"] for entry in entries(tmp_path)}) == 9


@pytest.mark.long
def test_a_file_of_which_nobody_can_say_whose_it_is_stays_the_longest_time(copy, tmp_path):
    path = min((copy / "decisions" / "day=2023-11-14" / "region=eu-central").glob("*.parquet"))
    path.write_bytes(b"PAR1 and then nothing")
    go(tmp_path, PredictionLog(copy, terms()), midnight(0) + timedelta(days=364))
    assert path.exists()
    go(tmp_path, PredictionLog(copy, terms()), midnight(0) + timedelta(days=366))
    assert not path.exists()


def test_a_hold_on_a_time_keeps_the_days_that_reach_into_it(copy, tmp_path):
    by = terms(hold(since="2023-11-15", before="2023-11-16"))
    go(tmp_path, PredictionLog(copy, by), midnight(4000), by)
    assert {found[1] for found in there(copy)} == {"2023-11-14", "2023-11-15"}
    assert ("decisions", "2023-11-14", "us-east") in there(copy) and ("snapshots", "2023-11-14", "eu-central") in there(copy)


def test_a_file_that_was_shipped_anew_to_the_place_of_a_deleted_one_is_another(copy, tmp_path):
    store = PredictionLog(copy, terms())
    one = next(iter(store.items()))
    prepared = store.prepare(one)
    store.remove(one.id, prepared)
    (copy / one.id).write_bytes(b"other records")
    assert store.remove(one.id, prepared) and (copy / one.id).exists() and not store.whole(one.id, prepared)


def test_no_log_is_an_empty_one_and_one_that_cannot_be_listed_is_said(tmp_path, capfd):
    assert list(PredictionLog(tmp_path / "none", terms()).items()) == []
    (tmp_path / "decisions").mkdir()
    (tmp_path / "decisions" / "day=2023-99-99" / "region=eu").mkdir(parents=True)
    (tmp_path / "decisions" / "day=2023-99-99" / "region=eu" / "one.parquet").write_bytes(b"")
    with pytest.raises(InputError, match="the prediction log cannot be listed"):
        list(PredictionLog(tmp_path, terms()).items())


def test_whoever_wants_no_more_of_a_long_log_leaves_no_process(copy):
    found = PredictionLog(copy, terms()).items()
    next(found)
    found.close()


# Snapshots of runs


def run(state, name, made, *, release=RELEASE, pipeline="incident-training", artifacts=None):
    folder = state / "runs" / name
    step = folder / "artifacts" / f"{pipeline}-x" / "ingest" / "telemetry"
    step.mkdir(parents=True)
    (step / "rows.parquet").write_bytes(b"rows of " + name.encode())
    (step / "again").symlink_to("rows.parquet")
    write_json(folder / "run.json", {"run_id": name, "request": {"pipeline": pipeline}})
    write_json(folder / "result.json", {"model": {"uri": release}, "artifacts": artifacts or {"telemetry": f"artifacts/{pipeline}-x/ingest/telemetry"}})
    (folder / "report.html").write_text("numbers")
    os.utime(folder / "run.json", (made.timestamp(), made.timestamp()))
    return folder


START = datetime(2026, 1, 1, tzinfo=UTC)


def runs(tmp_path, count=5):
    return [run(tmp_path, f"{START + timedelta(days=day):%Y%m%d-%H%M%S}-{day:04x}", START + timedelta(days=day)) for day in range(count)]


def snapshots(tmp_path, by=None, used=None):
    return Snapshots(tmp_path / "runs", tmp_path / "cache", by or terms(), used or {})


def test_the_data_of_old_runs_go_and_their_numbers_and_reports_stay(tmp_path):
    folders = runs(tmp_path)
    outcome = go(tmp_path, snapshots(tmp_path), START + timedelta(days=2000))
    assert outcome.deleted == 2 and outcome.stores["snapshots"].items["last"] == 3
    assert [(folder / "artifacts").exists() for folder in folders] == [False, False, True, True, True]
    assert all((folder / name).exists() for folder in folders for name in ("run.json", "result.json", "report.html"))
    assert {path.name for path in folders[0].iterdir()} == {"run.json", "result.json", "report.html"}
    assert go(tmp_path, snapshots(tmp_path), START + timedelta(days=2000)).deleted == 0


def test_a_run_that_takes_a_step_from_an_older_one_keeps_it_as_young_as_itself(tmp_path):
    old, *_ = runs(tmp_path)
    artifacts = {"models": [f"../{old.name}/artifacts/incident-training-x/train/model"]}
    young = run(tmp_path, "20260601-000000-beef", datetime(2026, 6, 1, tzinfo=UTC), artifacts=artifacts)
    go(tmp_path, snapshots(tmp_path), datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=89))
    assert (old / "artifacts").exists() and (young / "artifacts").exists()
    go(tmp_path, snapshots(tmp_path), datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=91))
    assert not (old / "artifacts").exists() and (young / "artifacts").exists()


def test_the_cache_never_leads_to_what_is_gone_and_keeps_the_rest(tmp_path):
    folders = runs(tmp_path)
    for number, folder in enumerate(folders):
        write_json(tmp_path / "cache" / f"{number}.json", {"model": {"uri": f"{folder}/artifacts/incident-training-x/train/model"}})
    go(tmp_path, snapshots(tmp_path), START + timedelta(days=2000))
    assert sorted(path.name for path in (tmp_path / "cache").glob("*.json")) == ["2.json", "3.json", "4.json"]


def test_what_a_served_release_was_made_from_stays(tmp_path):
    used = {RELEASE.partition("@")[2]: "incident:7 is what the plane runs"}
    runs(tmp_path)
    outcome = go(tmp_path, snapshots(tmp_path, used=used), START + timedelta(days=2000))
    assert outcome.stores["snapshots"].items["in use"] == 5 and outcome.deleted == 0


def test_a_run_that_says_nothing_of_its_model_keeps_its_data_the_longest_time(tmp_path):
    folders = runs(tmp_path, 5)
    for folder in folders:
        (folder / "result.json").write_text("{")
    assert go(tmp_path, snapshots(tmp_path), START + timedelta(days=720)).deleted == 0
    assert go(tmp_path, snapshots(tmp_path), START + timedelta(days=740)).deleted == 2


def test_a_run_s_clock_counts_from_the_later_of_its_name_and_its_last_word(tmp_path):
    folder, *_ = runs(tmp_path, 4)
    late = (START + timedelta(days=50)).timestamp()
    os.utime(folder / "run.json", (late, late))
    assert go(tmp_path, snapshots(tmp_path), START + timedelta(days=139)).deleted == 0
    assert go(tmp_path, snapshots(tmp_path), START + timedelta(days=140)).deleted == 1


# Runs in the registry


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    found = world(tmp_path_factory.mktemp("made"))
    published = found.published
    for number in range(4):
        release = published if number == 0 else found.publish({"primary": parts(seed=50 + number)})
        documents = {"incident": (release, {"card.md": b"# card", "contract.json": b"{}"})}
        register(found.root / "mlflow", f"run-{number}", {"policy": "incident"}, {"lightgbm.average_precision": 0.5 + number / 100}, documents)
    return found


LONG = datetime.now(UTC) + timedelta(days=366)


def test_runs_go_with_their_versions_and_documents_and_the_last_stay(made, tmp_path):
    found = copied(made, tmp_path / "site")
    move(found.root / "mlflow", made.root / "mlflow")
    store = MlflowRuns(found.root / "mlflow", terms(), {})
    before = list(store.items())
    assert [(one.model, one.tier, one.last) for one in before] == [("incident", "low", last) for last in (1, 2, 3, 4)]
    assert before[-1].release.startswith("incident:1@sha256:") and before[-1].bytes == len(b"# card{}")
    assert go(tmp_path, store, LONG).deleted == 1
    again = MlflowRuns(found.root / "mlflow", terms(), {})
    assert [one.id for one in again.items()] == [one.id for one in before[:3]]
    versions = again._client.search_model_versions("name='incident'")
    assert {version.run_id for version in versions} == {one.id for one in before[:3]}
    assert {path.name for path in (found.root / "mlflow" / "artifacts").iterdir()} == {one.id for one in before[:3]}
    assert [entry.subject for entry in entries(tmp_path)] == [f"mlflow-runs/{one.id}" for one in before[3:]]
    register(found.root / "mlflow", "run-9", {"policy": "incident"}, {}, {})  # goes on as before


def test_runs_behind_a_served_release_stay_and_what_is_half_removed_is_finished(made, tmp_path):
    found = copied(made, tmp_path / "site")
    move(found.root / "mlflow", made.root / "mlflow")
    digest = made.published.reference.digest
    store = MlflowRuns(found.root / "mlflow", terms(), {digest: "incident:1 is what the plane runs"})
    third, first = list(store.items())[2:]
    assert first.in_use == "incident:1 is what the plane runs"
    assert go(tmp_path, store, LONG).deleted == 0
    prepared = store.prepare(third)
    assert store.whole(third.id, prepared)
    store._client.delete_run(third.id)  # as far as it came
    assert not store.whole(third.id, prepared) and store.remove(third.id, prepared) and store.prepare(third) is None
    assert store.remove(third.id, prepared)


def move(folder, before):
    """MLflow keeps absolute addresses: a copy of the registry is told that it has moved."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location"), ("model_versions", "source")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(before), str(folder)))
