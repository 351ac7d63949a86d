"""`presage retention …` over a real state directory: what it prints, what it leaves, how it exits."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema_rs
import orjson
import pytest
import yaml
from builders.approvals import NOW, governed
from builders.logs import DAY, NOON, decision, write_log
from builders.retention import ROOT, TEXT, hold, terms

from presage.cli import main
from presage.files import write_json
from presage.governance.audit import AuditLog
from presage.governance.compiling import compile_policies
from presage.governance.retention.changes import compiled_changes, times
from presage.governance.retention.in_use import in_use
from presage.governance.retention.policy import parse_retention
from presage.governance.retention.terms import Terms
from presage.package.keys import local_key
from presage.package.reference import Reference
from presage.release.records import Step, write_record
from presage.release.standing import Place
from presage.state import State

FASTER = ("--store", "prediction-log", "--store", "snapshots", "--store", "packages", "--store", "leftovers")  # MLflow alone takes seconds to import
HALF_A_YEAR = ("high: 365d", "high: 180d")


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.delenv("PRESAGE_STATE", raising=False)
    root = tmp_path / "state"
    root.mkdir(mode=0o700)
    written = write_log(root, *([decision(day, server="server-0", time=NOON + day * DAY)] for day in range(3)))
    written.rename(root / "predictions")
    shutil.rmtree(root / "journal")
    return root


def asked(capfd, state, *words):
    capfd.readouterr()
    code = main(["--state", str(state), "retention", *words, "-o", "json"])
    document = orjson.loads(capfd.readouterr().out.splitlines()[-1])
    schema = orjson.loads((ROOT / "docs/schemas" / f"retention-{words[0]}.json").read_bytes())
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(document)
    return code, document


def test_a_plan_changes_nothing_and_what_it_names_is_what_goes(state, capfd):
    before = sorted(path.name for path in state.rglob("*.parquet"))
    code, planned = asked(capfd, state, "plan", *FASTER)
    assert code == 0 and [one["store"] for one in planned["stores"]] == ["prediction-log", "packages", "leftovers", "snapshots"]
    assert planned["stores"][0]["due"] == 3 and {one["rule"] for one in planned["due"]} == {"RET-2"} and not planned["more"]
    assert sorted(path.name for path in state.rglob("*.parquet")) == before and not (state / "audit").exists()
    code, done = asked(capfd, state, "apply", *FASTER)
    assert (code, done["deleted"], done["lifecycle"]) == (0, 3, None) and not list(state.rglob("*.parquet"))
    told = {entry.subject for entry in AuditLog.open(state / "audit").entries()}
    assert told == {f"{one['store']}/{one['id']}" for one in planned["due"]}
    code, found = asked(capfd, state, "verify", *FASTER)
    assert (code, found["good"], found["entries"], found["items"]) == (0, True, 3, 0)


def test_a_plan_can_look_ahead_and_back(state, capfd):
    first = asked(capfd, state, "plan", *FASTER, "--at", "2024-02-12")[1]
    assert (first["stores"][0]["due"], first["stores"][0]["young"], first["more"]) == (0, 3, False)
    document = asked(capfd, state, "plan", *FASTER, "--at", "2024-02-13", "--most", "0")[1]
    assert (document["stores"][0]["due"], document["stores"][0]["young"], document["due"], document["more"]) == (1, 2, [], True)


def test_what_is_overdue_is_a_finding_and_what_an_entry_cannot_justify(state, capfd):
    code, found = asked(capfd, state, "verify", *FASTER, "--most", "1")
    assert (code, found["good"], found["overdue"], len(found["findings"]), found["more"]) == (1, False, 3, 1, True)
    asked(capfd, state, "apply", *FASTER)
    shutil.rmtree(state / "retention" / "terms")
    code, found = asked(capfd, state, "verify", *FASTER)
    assert code == 1 and {one["code"] for one in found["findings"]} == {"terms"}


def test_in_slices_and_dry_it_says_what_is_left(state, capfd):
    _code, done = asked(capfd, state, "apply", *FASTER, "--at-most", "2")
    assert (done["deleted"], done["more"]) == (2, True)
    assert main(["--state", str(state), "retention", "apply", "--dry-run", *FASTER]) == 0
    assert "RET-2 keeps 90d at tier low in eu-central, since 2023-11-17" in capfd.readouterr().out
    assert len(list(state.rglob("*.parquet"))) == 1
    assert asked(capfd, state, "apply", *FASTER)[1]["deleted"] == 1


def test_the_job_s_own_command_line_runs_with_the_compiled_terms_and_nothing_else(state, tmp_path):
    """As the manifest has it, its paths mapped to this machine's, in a folder that is no checkout."""
    job = yaml.safe_load((ROOT / "manifests/base/platform/generated/network/cronjob.retention.yaml").read_text())
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    compiled = yaml.safe_load((ROOT / "manifests/base/platform/generated/network/configmap.retention.yaml").read_text())
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted" / "retention.json").write_text(compiled["data"]["retention.json"])
    places = {
        "/var/lib/presage/predictions": str(state / "predictions"), "/var/lib/presage/state": str(tmp_path / "volume"),
        "/etc/presage/retention": str(tmp_path / "mounted"),
    }  # fmt: skip
    words = [*container["command"], *container["args"]]
    for there, here in places.items():
        assert any(there in word for word in words)
        words = [word.replace(there, here) for word in words]
    program = "import sys; from presage.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, *words[1:]], cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    document = orjson.loads(done.stdout.splitlines()[-1])
    assert document["deleted"] == 3 and [one["store"] for one in document["stores"]] == ["prediction-log"]
    assert len(list(AuditLog.open(tmp_path / "volume" / "presage" / "audit").entries())) == 3


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["plan", "--at", "soon"], 2, "--at 'soon' is no day"), (["plan", "--terms", "/nowhere.json"], 1, "there is no compiled policy here"),
        (["verify", "--within", "long"], 1, "is no duration"), (["changes", "--against", "nothing-like-it"], 1, "has no commit 'nothing-like-it'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_a_sentence(state, capfd, words, code, says):
    assert main(["--state", str(state), "retention", *words]) == code
    assert says in capfd.readouterr().err


# What a change of the policies changes


@pytest.fixture
def repository(tmp_path):
    """policies/ and the rendered manifests, to be changed."""
    root = tmp_path / "repository"
    for folder in ("policies", "manifests/rendered"):
        shutil.copytree(ROOT / folder, root / folder)
    return root


def changed(root: Path, *changes):
    path = root / "policies" / "retention.yaml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)


def test_one_line_of_the_policy_and_every_object_it_changes_is_listed_in_sentences(repository):
    changed(repository, HALF_A_YEAR)
    found = compiled_changes(ROOT, repository, NOW)
    before, after = compile_policies(ROOT, NOW), compile_policies(repository, NOW)
    assert {one.path for one in found} == {path for path in before if before[path] != after[path]}
    assert [(one.label, one.how) for one in found] == [("ConfigMap models-databases/retention", "changed"), ("ConfigMap models-network/retention", "changed")]
    assert {sentence for one in found for sentence in one.sentences} == {"data.retention.json.policy.rules[RET-2].keep.high is 180d, was 365d"}
    assert "production/platform" in found[0].applications and "local/platform" in found[1].applications


def test_a_change_says_what_falls_due_earlier_and_for_which_models():
    at = datetime(2026, 11, 26, tzinfo=UTC)
    after = Terms(parse_retention(TEXT.replace(*HALF_A_YEAR, 1), "retention.yaml"), terms().models)
    assert list(times(terms(), after, at)) == [
        "RET-2: prediction logs of high-tier models are kept 180 days, not 365 days. What was written before 2026-05-30 is due now; until this change that was "
        "2025-11-26. Models of that tier: rota."
    ]
    (back,) = times(after, terms(), at)
    assert "are kept 365 days, not 180 days. What was written between 2025-11-26 and 2026-05-30 would be due now, and stays." in back
    assert list(times(terms(), terms(), at)) == []


def test_a_bucket_s_lifecycle_the_hour_of_the_jobs_and_a_hold_are_listed_too(repository):
    changed(repository, ("old_versions: 30d", "old_versions: 14d"), ('"03:20"', '"04:45"'))
    found = {one.label: one.sentences for one in compiled_changes(ROOT, repository, NOW)}
    assert found["manifests/buckets/generated/releases.lifecycle.xml"] == ("RET-7-old-versions.NoncurrentDays is 14, was 30",)
    assert found["CronJob models-network/retention"] == ("spec.schedule is 45 4 * * *, was 20 3 * * *",)
    with_hold = terms(hold(models=["incident"]))
    assert list(times(terms(), with_hold, NOW)) == ["HLD-1: a hold begins on 2020-01-01: A court asked for it."]
    assert list(times(with_hold, terms(), NOW)) == ["HLD-1: the hold is gone; what it kept goes when its rule says."]


def test_the_command_counts_what_lies_here_and_falls_due_by_the_change(state, repository, capfd):
    """Against a folder where everything was kept for ten years."""
    changed(repository, ("low: 90d", "low: 3650d"))
    code, document = asked(capfd, state, "changes", "--against", str(repository))
    assert code == 0 and [one["object"] for one in document["objects"]] == ["ConfigMap models-databases/retention", "ConfigMap models-network/retention"]
    assert document["here"] == [{"store": "prediction-log", "due": 3, "due_bytes": document["here"][0]["due_bytes"], "due_no_more": 0}]
    assert document["here"][0]["due_bytes"] > 1000
    assert document["times"][0].startswith("RET-2: prediction logs of low-tier models are kept 90 days, not 3650 days.")


def promoted(repository, number, stable, at, model="incident"):
    """A signed record: `number` took the place of `stable`."""
    place, reference = Place("production", "models-network", model), Reference(model, number, "sha256:" + str(number) * 64)
    step = Step("promote", "production", "models-network", model, {"stable": stable}, {"stable": str(reference)}, "low", {}, None, "it held", at, None)
    write_record(repository, place, reference, step, local_key(repository.parent / "keys"))


def test_what_serves_what_may_be_gone_back_to_and_what_the_plane_runs_is_in_use(repository, tmp_path):
    state = State.open(tmp_path / "state")
    names = {number: f"presage://incident:{number}@sha256:{str(number) * 64}" for number in range(1, 6)}
    rendered = repository / "manifests" / "rendered" / "production" / "models-network" / "manifest.yaml"
    rendered.write_text(rendered.read_text() + f"---\n# {names[4]}\n")
    write_json(state.root / "plane" / "plan.json", {"bindings": {"presage://incident:local": names[5]}})
    promoted(repository, 3, names[2], "2026-05-01T00:00:00Z")
    promoted(repository, 4, names[3], "2026-06-01T00:00:00Z")
    promoted(repository, 7, f"presage://rota:6@sha256:{'6' * 64}", "2026-07-01T00:00:00Z", "rota")
    found = in_use(repository, None, state, NOW)
    del found["sha256:" + "0" * 64]  # what a checkout names until a release is published
    assert found == {
        "sha256:" + "4" * 64: "incident:4 is named by the manifests of production/models-network",
        "sha256:" + "3" * 64: "incident:3 served before, and may be gone back to",
        "sha256:" + "6" * 64: "rota:6 served before, and may be gone back to",
        "sha256:" + "5" * 64: "incident:5 is what the plane runs",
    }  # fmt: skip


def test_an_approved_release_is_in_use_as_long_as_its_approvals_suffice(tmp_path):
    found, state = governed(tmp_path), State.open(tmp_path / "state")
    assert in_use(found.root, found.policies, state, NOW) == {}
    for person in ("risk-officer", "auditor"):
        found.sign(found.approval(person))
    used = in_use(found.root, found.policies, state, NOW)
    assert used == {str(found.published.reference.digest): "incident:2 is approved now"}
    assert in_use(found.root, found.policies, state, NOW + timedelta(days=91)) == {}
