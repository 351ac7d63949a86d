"""OpenLineage events of pipeline runs: every step with what it read and wrote, by name and by digest, linked to the run, the commit, the release, MLflow."""

import errno
import re
from collections import Counter
from pathlib import Path

import orjson
import pytest

import pipelines.lineage
from components.package.lineage import folder_digest
from pipelines.catalogue import PIPELINES
from pipelines.lineage import EVENTS, Lineage, _code, run_uuid
from pipelines.wiring import Wired, wiring
from presage.errors import StateError
from presage.files import read_json, write_json
from presage.lineage.page import Origin
from presage.lineage.runs import read_events, read_run
from presage.package.reference import parse_reference
from presage.package.store import ReleaseStore
from presage.state import State

ROOT = Path(__file__).parents[2]
SOURCE = "simulated:servers=2"


@pytest.fixture(scope="module")
def folder(trained_state) -> Path:
    return next(iter(trained_state.runs.glob("*/result.json"))).parent


@pytest.fixture(scope="module")
def events(folder):
    return list(read_events(folder / EVENTS))


def versions(datasets) -> dict[str, str | None]:
    return {one["name"]: one["facets"].get("version", {}).get("datasetVersion") for one in datasets}


def tags(event) -> dict[str, str]:
    return {one["key"]: one["value"] for one in event["run"]["facets"]["tags"]["tags"]}


def of(events, job: str, kind: str):
    return [one for one in events if one["job"]["name"] == job and one["eventType"] == kind]


def test_every_step_of_a_real_run_begins_and_ends_once_under_the_run(events, folder):
    assert (events[0]["eventType"], events[-1]["eventType"]) == ("START", "COMPLETE")
    kinds = Counter((one["run"]["runId"], one["eventType"]) for one in events)
    assert set(kinds.values()) == {1} and len(kinds) == 2 * len({run for run, _ in kinds})
    run = str(run_uuid(folder.name))
    steps = [one for one in events if one["run"]["runId"] != run]
    assert all(one["run"]["facets"]["parent"]["run"]["runId"] == run for one in steps)
    ended = Counter(one["job"]["name"].removeprefix("incident-training.") for one in steps if one["eventType"] == "COMPLETE")
    assert ended == Counter(step["name"] for step in read_json(folder / "run.json")["steps"]) and ended["train"] == 4
    assert all(set(one) >= {"eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs"} for one in events)


def test_what_a_step_read_is_what_another_wrote_to_the_digest(events):
    wrote: dict[str, str | None] = {}
    for event in (one for one in events if one["eventType"] == "COMPLETE" and "parent" in one["run"]["facets"]):
        read = versions(event["inputs"])
        if event["job"]["name"] == "incident-training.ingest":
            assert [name.partition(":")[0] for name in read] == ["simulated"]
        else:
            assert read and read == {name: wrote[name] for name in read}, event["job"]["name"]
        assert all(version and version.startswith("sha256:") for version in versions(event["outputs"]).values())
        wrote |= versions(event["outputs"])
    (package,) = of(events, "incident-training.package", "COMPLETE")
    families = {name.rpartition("/")[2] for name in versions(package["inputs"]) if "/train/model/" in name}
    assert families == {"lightgbm", "random_forest", "logistic_regression", "temporal_convolution"}


def test_digests_are_those_by_which_package_release_and_registry_go(events, folder, trained_state):
    result = read_json(folder / "result.json")
    packaged = read_json(folder / result["artifacts"]["packaged"] / "result.json")
    (package,) = of(events, "incident-training.package", "COMPLETE")
    wrote = versions(package["outputs"])
    assert {name: wrote[f"release/{name}"] for name in ("incident", "incident-sequence")} == {one["name"]: one["digest"] for one in packaged["models"]}
    contents = ReleaseStore(trained_state.releases).fetch(parse_reference(result["model"]["uri"])).contents
    lineage = next(orjson.loads(content) for path, content in contents.items() if path.endswith("/lineage.json") and b'"incident"' in content)
    assert versions(package["inputs"])["incident-training/validate/validated"] == lineage["data"]["digest"]
    assert lineage["data"]["digest"] == folder_digest(folder / result["artifacts"]["validated"])
    assert (tags(events[0])["code"], tags(events[0])["lock"], tags(events[0])["run"]) == (lineage["code"], lineage["lock"], lineage["run_id"])
    assert tags(events[-1])["mlflow.run"] == packaged["registry"]["run_id"]


def test_each_job_names_its_commit_and_its_place_in_the_repository(events):
    places = {one["job"]["name"]: one["job"]["facets"]["sourceCodeLocation"] for one in events}
    assert {one["version"] for one in places.values()} == {places["incident-training"]["version"]} and places["incident-training.train"]["type"] == "git"
    assert re.fullmatch("[0-9a-f]{40}", places["incident-training"]["version"])
    for name, place in places.items():
        assert (ROOT / place["path"]).is_dir(), name


def test_only_their_owner_reads_the_events(folder):
    assert (folder / EVENTS).stat().st_mode & 0o077 == 0


@pytest.fixture
def run(tmp_path):
    return Lineage(tmp_path / EVENTS, "r-1", "incident-training", {"source": SOURCE, "source_digest": "", "code_digest": "c0de"}, tmp_path / "cache")


def made(folder: Path, *outputs: str) -> list[str]:
    """Outputs of a step, as the orchestrator names them."""
    for output in outputs:
        (folder / output).mkdir(parents=True)
        (folder / output / "rows.parquet").write_bytes(output.encode())
    return [str(folder / output) for output in outputs]


def go(lineage: Lineage, task: str, thread: int, places: list[str]) -> None:
    lineage.take({"event": "started", "task": task, "thread": thread, "time": 1.0})
    lineage.take({"event": "ended", "task": task, "thread": thread, "time": 2.0, "succeeded": True})
    lineage.take({"event": "produced", "thread": thread, "time": 2.0, "places": places})


def told(path: Path) -> list[tuple[str, str]]:
    return [(one["job"]["name"].removeprefix("incident-training"), one["eventType"]) for one in read_events(path / EVENTS)]


def test_a_step_that_fails_fails_its_run_and_what_ran_beside_it_is_aborted(run, tmp_path):
    run.begin()
    go(run, "ingest", 1, made(tmp_path / "ingest", "telemetry", "quarantine"))
    run.take({"event": "started", "task": "validate", "thread": 1, "time": 3.0})
    run.take({"event": "started", "task": "train", "thread": 2, "time": 3.0})
    run.take({"event": "ended", "task": "validate", "thread": 1, "time": 4.0, "succeeded": False})
    run.fail("Step validate: too few rows were left.")
    ends = [("", "START"), (".ingest", "START"), (".ingest", "COMPLETE"), (".validate", "START"), (".train", "START"), (".validate", "FAIL")]
    assert told(tmp_path) == [*ends, (".train", "ABORT"), ("", "FAIL")]
    last = list(read_events(tmp_path / EVENTS))
    assert last[-1]["run"]["facets"]["errorMessage"]["message"] == "Step validate: too few rows were left."
    assert versions(last[5]["inputs"]) == {"incident-training/ingest/telemetry": folder_digest(tmp_path / "ingest" / "telemetry")}


def test_a_run_that_is_stopped_is_aborted_and_one_that_is_killed_has_begun(run, tmp_path):
    run.begin()
    run.take({"event": "started", "task": "ingest", "thread": 1, "time": 1.0})
    assert told(tmp_path) == [("", "START"), (".ingest", "START")]  # what SIGKILL leaves
    run.abort()
    assert told(tmp_path)[2:] == [(".ingest", "ABORT"), ("", "ABORT")]


def test_a_step_that_the_cache_answered_names_what_an_earlier_run_wrote(run, tmp_path):
    (place,) = made(tmp_path / "earlier", "telemetry")
    (tmp_path / "cache").mkdir()
    write_json(tmp_path / "cache" / "f5af97a3238d00.json", {"telemetry": {"uri": place}})
    run.take({"event": "cached", "task": "ingest", "key": "f5af97a3238d", "thread": 1, "time": 1.0})
    run.take({"event": "cached", "task": "validate", "key": "0000", "thread": 1, "time": 1.0})  # gone from the cache: nothing is made up
    begun, ended, _, other = read_events(tmp_path / EVENTS)
    assert (begun["eventType"], ended["eventType"], tags(ended)["cached"]) == ("START", "COMPLETE", "true")
    assert versions(ended["outputs"]) == {"incident-training/ingest/telemetry": folder_digest(Path(place))}
    assert other["outputs"] == [] and versions(other["inputs"]) == versions(ended["outputs"])


def test_steps_of_one_name_are_runs_of_their_own_and_a_repeated_file_is_the_same_events(run, tmp_path):
    for thread in (1, 2):
        run.take({"event": "started", "task": "train", "thread": thread, "time": 1.0})
    for thread, family in ((2, "lightgbm"), (1, "random_forest")):
        (place,) = made(tmp_path / family, "model")
        write_json(Path(place) / "training.json", {"family": family})
        run.take({"event": "ended", "task": "train", "thread": thread, "time": 2.0, "succeeded": True})
        run.take({"event": "produced", "thread": thread, "time": 2.0, "places": [place]})
    found = list(read_events(tmp_path / EVENTS))
    ended = {one["run"]["runId"]: [*versions(one["outputs"])] for one in found if one["eventType"] == "COMPLETE"}
    first, second = str(run_uuid("r-1", "train")), str(run_uuid("r-1", "train.2"))
    assert ended == {second: ["incident-training/train/model/lightgbm"], first: ["incident-training/train/model/random_forest"]}
    assert len({run_uuid("r-1"), run_uuid("r-1", "train"), run_uuid("r-2", "train"), run_uuid("r-2")}) == 4


def test_a_source_with_files_has_their_digest_and_a_release_its_own(tmp_path):
    uri = "presage://incident:7@sha256:" + "0f" * 32
    given = {"source": "csv:fleet.csv", "source_digest": "ab" * 32, "release": uri, "code_digest": ""}
    Lineage(tmp_path / EVENTS, "r-1", "batch-scoring", given, tmp_path).begin()
    (event,) = read_events(tmp_path / EVENTS)
    assert versions(event["inputs"]) == {"csv:fleet.csv": "ab" * 32, uri: "sha256:" + "0f" * 32}


def test_events_that_cannot_be_written_end_the_run_in_a_sentence(run, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pipelines.lineage.os, "open", full)
    with pytest.raises(StateError, match="the run's events cannot be written"):
        run.begin()


def test_a_token_in_the_remote_s_address_stays_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines.lineage.History, "origin", lambda self: "https://robot:s3cret@git.example/presage.git")
    _code.cache_clear()
    try:
        location = _code().facets("train")["sourceCodeLocation"]
    finally:
        _code.cache_clear()
    assert (location.url, location.path) == ("https://git.example/presage.git", "components/train")


def test_where_there_is_no_checkout_no_commit_is_told(run, tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines.lineage, "ROOT", tmp_path)
    _code.cache_clear()
    try:
        run.begin()
    finally:
        _code.cache_clear()
    (event,) = read_events(tmp_path / EVENTS)
    assert "sourceCodeLocation" not in event["job"]["facets"] and "code.changed" not in tags(event) and tags(event)["code"] == "c0de"


def test_the_wiring_is_what_the_committed_pipelines_say():
    training = wiring("incident-training")
    assert set(training["split"]) == {Wired("labels", "label", "labels"), Wired("features", "featurize", "features")}
    assert Wired("models", "train", "model") in training["package"] and Wired("folds", "split", "folds") in training["train"]  # out of the loop, and into it
    for listed in PIPELINES:
        wired = wiring(listed.name)
        assert all(one.task in wired for read in wired.values() for one in read)


def origin(run: str | None, digest: str = "sha256:" + "0f" * 32) -> Origin:
    return Origin("sha256:1", "incident-training", run, None, 7, SOURCE, digest, "c0de", "sha256:2", None, None, None, None, "lineage.json")


def test_events_of_another_snapshot_than_the_package_s_are_told(tmp_path, run):
    state = State.open(tmp_path / "state")
    place = state.runs / "r-1"
    place.mkdir()
    write_json(place / "run.json", {"status": "succeeded"})
    lineage = Lineage(place / EVENTS, "r-1", "incident-training", {"source": SOURCE, "code_digest": ""}, tmp_path)
    go(lineage, "validate", 1, made(tmp_path / "validate", "validated", "quality"))
    go(lineage, "package", 1, [])
    with (place / EVENTS).open("a") as handle:
        handle.write('{"eventType": "STA')  # what a kill leaves
    for digest, same in ((folder_digest(tmp_path / "validate" / "validated"), True), ("sha256:" + "0f" * 32, False)):
        found, missing = read_run(state, origin("r-1", digest), "incident")
        assert found is not None and found.snapshot is same and found.commit and found.registry_run is None
        assert [one.what for one in missing] == ["its number in MLflow"]


def test_a_run_that_is_older_than_events_or_was_made_elsewhere_is_told(tmp_path):
    state = State.open(tmp_path)
    (state.runs / "r-1").mkdir()
    write_json(state.runs / "r-1" / "run.json", {"status": "succeeded"})
    found, missing = read_run(state, origin("r-1"), "incident")
    assert found is not None and (found.commit, found.changed, found.snapshot) == (None, None, None) and "older than these events" in missing[0].because
    assert read_run(state, origin("r-2"), "incident")[0] is None and read_run(state, origin(None), "incident")[1][0].because == "the package names none"
    assert read_run(state, origin("../../etc"), "incident")[0] is None
