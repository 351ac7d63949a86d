"""What is not there is told as missing, with the reason; what others wrote does no harm to who reads the page."""

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import polars as pl
import pytest
from builders.logs import decision, masking, snapshot, write_log
from builders.releases import world as two_members
from builders.repositories import copied
from builders.traced import HOSTILE, PLACE
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.journal.record import Writer
from inference.log.erase import erase
from inference.log.subjects import Subjects
from presage.errors import InputError
from presage.files import sha256_bytes
from presage.governance.audit import AuditLog
from presage.governance.revoked import enter
from presage.lineage import Missing, Trace, to_html, to_text
from presage.lineage.schema import schema
from presage.package.approvals import Approval, Subject, sign_approval
from presage.package.keys import Trust, read_key
from presage.package.reference import parse_reference
from presage.package.store import ReleaseStore
from presage.release.records import read_records, write_record
from presage.release.standing import Place
from presage.state import State

ROOT = Path(__file__).parents[2]
BY_SERVER = {"subject: none": "subject: server", "server: internal ": "server: subject ", "otherwise: internal ": "otherwise: subject "}


def because(trace: Trace, part: str) -> str:
    """Every reason of one part."""
    return "; ".join(f"{one.what}: {one.because}" for one in trace.missing if one.part == part)


def test_an_unknown_prediction_is_refused_in_a_sentence(world):
    done = world.presage("audit", "trace", "nobody-0", code=1)
    assert "no decision is called 'nobody-0'" in done.stderr and done.stdout == ""


def test_a_state_without_a_log_and_an_unknown_form_are_told(world, tmp_path):
    empty = replace(world, state=State.open(tmp_path / "empty"))
    assert "There is no prediction log" in empty.presage("audit", "trace", "x-0", code=1).stderr
    world.presage("audit", "trace", "x-0", "-o", "pdf", code=2)


@pytest.mark.slow
def test_complete_means_that_a_missing_fact_is_a_finding(world, found, tmp_path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    assert "missing" in world.presage("audit", "trace", found.prediction_id, "--complete", here=outside, code=1).stderr
    world.presage("audit", "trace", found.prediction_id, here=outside)


@pytest.fixture
def sealed(world, tmp_path):
    """A log of the same release in which servers are subjects, its keys, and two answers of one server."""
    keys = tmp_path / "keys" / "subjects.db"
    writer = Writer("incident", "2", world.digest, "eu-central", (), ("cpu.mean_1h", "memory.mean_1h"), ("cpu", "memory"))
    moment = world.now.timestamp()
    records = [decision(0, time=moment, feature_time=moment - 60), snapshot("server-0", moment - 60)]
    return write_log(tmp_path, records, by=masking(BY_SERVER, keys), writer=writer), keys


@pytest.mark.slow
def test_of_a_subject_that_was_erased_whom_it_is_about_and_the_inputs_are_missing(world, sealed):
    log, keys = sealed
    known = world.trace("id-0-0", log=log, subject_keys=keys)
    assert (known.answer.server, known.answer.opened) == ("server-0", "opened") and known.inputs is not None and known.inputs.values[0].values == [1.5]
    assert "not measured then, or masked" in because(known, "inputs")  # the second value is NaN
    with Subjects.open(keys) as subjects:
        erase(log, "server-0", subjects, 0.0, dry_run=False)
    gone = world.trace("id-0-0", log=log, subject_keys=keys)
    assert (gone.answer.server, gone.answer.opened, gone.inputs) == (None, "sealed", None)
    assert "sealed for subject" in because(gone, "inputs") and "is found by what is sealed" in because(gone, "inputs")
    assert gone.answer.risk == known.answer.risk and gone.release == known.release  # the rest is known as before
    assert "server-0" not in to_text(gone) and "server-0" not in to_html(gone)


def test_an_online_row_that_was_kept_its_time_and_is_gone_is_missing(world, found, tmp_path):
    shutil.copytree(world.log, tmp_path / "log")
    shutil.rmtree(tmp_path / "log" / "snapshots")
    gone = world.trace(found.prediction_id, log=tmp_path / "log")
    assert gone.inputs is None and f"the online row of {found.answer.server}" in because(gone, "inputs")


def test_a_release_that_the_store_has_no_more_leaves_what_git_and_the_log_know(world, found, tmp_path):
    gone = world.trace(found.prediction_id, store=ReleaseStore(tmp_path / "releases"))
    assert (gone.release, gone.origin, gone.run, gone.evaluation, gone.card) == (None, None, None, None, None)
    for part in ("release", "origin", "evaluation", "card"):
        assert "--store names another" in because(gone, part), part
    assert (gone.standing, gone.commits, gone.others) == (found.standing, found.commits, found.others)
    assert gone.approvals is not None and gone.approvals.lacking is None  # by name and digest


def test_a_release_that_was_changed_in_the_store_is_not_told_as_if_it_were_good(world, found, tmp_path):
    shutil.copytree(world.state.releases, tmp_path / "releases")
    card = world.second.document.members[0].files["card.md"]
    (tmp_path / "releases" / "blobs" / "sha256" / card).write_bytes(b"# incident\n\nNever wrong.\n")
    changed = world.trace(found.prediction_id, store=ReleaseStore(tmp_path / "releases"))
    assert changed.card is None and because(changed, "card") and "Never wrong" not in to_text(changed)


@pytest.mark.slow
def test_data_card_and_evaluation_are_those_of_the_member_that_scored(world, tmp_path):
    made = two_members(tmp_path / "site")
    members = {one.role: one for one in made.published.document.members}
    names = {"primary-0": "primary", "simpler-0": "simpler", "rules-0": ""}
    records = [decision(0, prediction_id=name, time=world.now.timestamp(), x=b"\0\0\0\0", used=used) for name, used in names.items()]
    log = write_log(tmp_path, records, writer=Writer("incident", "1", str(made.published.reference.digest), "eu"))
    for name, used in names.items():
        seen = world.trace(name, log=log, store=made.store, trust=made.trust)
        described = members[used or "primary"]
        assert seen.card is not None and seen.card.digest == f"sha256:{described.files['card.md']}" and seen.origin is not None
        assert seen.origin.package == described.package and "the data snapshot" in because(seen, "origin")  # a package that does not know it
        assert seen.release is not None and [one.role for one in seen.release.members if one.answered] == ([used] if used else [])
    assert "no model" in to_text(seen)


def test_who_is_not_trusted_here_is_told(world, found):
    strangers = world.trace(found.prediction_id, trust=Trust.of([]))
    assert strangers.release is not None and strangers.release.signer is None and "signature" in str(strangers.release.refused)
    assert all(record.signer is None for change in strangers.commits for record in change.records)
    assert "NOT TRUSTED here" in to_text(strangers)


def test_without_a_repository_all_that_git_knows_is_missing(world, found, tmp_path):
    for where, sentence in ((None, "no Git repository was named"), (tmp_path, "is no repository with a branch checked out")):
        without = world.trace(found.prediction_id, repository=where)
        assert (without.standing, without.commits, without.policies, without.approvals) == ([], [], None, None)
        assert all(sentence in because(without, part) for part in ("standing", "commits", "policies", "approvals"))
        assert without.release is not None and without.release.differs is None


def test_a_branch_that_does_not_exist_is_told(world, found):
    assert "has no branch 'release'" in because(world.trace(found.prediction_id, branch="release"), "policies")


def shallow(world, root: Path, depth: int) -> Path:
    subprocess.run(["git", "clone", "--quiet", f"--depth={depth}", f"file://{world.here.root}", str(root)], check=True)
    return root


def test_a_shallow_copy_that_begins_after_the_answer_knows_nothing_of_then(world, found, tmp_path):
    seen = world.trace(found.prediction_id, repository=shallow(world, tmp_path / "copy", 1))
    assert (seen.standing, seen.policies, seen.approvals) == ([], None, None)
    assert "git fetch --unshallow" in because(seen, "policies") and "git fetch --unshallow" in because(seen, "commits")


def test_a_shallow_copy_does_not_say_that_its_first_commit_brought_everything(world, found, tmp_path):
    seen = world.trace(found.prediction_id, repository=shallow(world, tmp_path / "copy", 4))  # from `start` on
    assert [one.kind for one in seen.commits] == ["changed", "took away"]
    assert "it was there already (canary with 5 percent, shadow)" in because(seen, "commits")
    assert [(one.role, one.since) for one in seen.standing] == [("canary", None), ("shadow", None)]
    assert seen.approvals is not None and [one.commit for one in seen.approvals.given] == [None, None] and seen.approvals.lacking is None


@pytest.mark.slow
def test_before_it_was_started_and_after_it_was_taken_away_git_does_not_have_it(world, tmp_path):
    writer = Writer("incident", "2", world.digest, "eu-central", ("x",), ("x",), ("x",))
    hours = {"early-0": -6, "late-0": 3, "raised-0": 1.5, "shadow-0": 0, "years-0": 200 * 24}
    records = [
        decision(0, prediction_id=name, time=(world.now + timedelta(hours=after)).timestamp(), x=b"\0\0\0\0", shadow_of="a-0" if name == "shadow-0" else "")
        for name, after in hours.items()
    ]
    log = write_log(tmp_path, records, writer=writer)
    for name in ("early-0", "late-0"):
        seen = world.trace(name, log=log)
        assert seen.standing == [] and "not (or not yet, or no more) as Git says" in because(seen, "standing")
    raised = world.trace("raised-0", log=log)
    assert [(one.role, one.percent, one.fits) for one in raised.standing] == [("canary", 10, True), ("shadow", None, False)]
    assert raised.approvals is not None and raised.approvals.lacking is None
    years = world.trace("years-0", log=log)
    assert years.approvals is not None and "ended at" in str(years.approvals.lacking)  # judged as of the answer, not of today
    shadow = world.trace("shadow-0", log=log)
    assert [(one.role, one.fits) for one in shadow.standing] == [("canary", False), ("shadow", True)]
    assert shadow.others is not None and (shadow.others.decisions, shadow.others.shadows) == (4, 1) and "told to nobody" in to_text(shadow)


def test_a_release_that_git_never_had_is_told(world, tmp_path):
    log = write_log(tmp_path, [decision(0, time=world.now.timestamp(), x=b"\0\0\0\0")], writer=Writer("incident", "9", "sha256:" + "0f" * 32, "eu"))
    seen = world.trace("id-0-0", log=log)
    assert seen.commits == [] and "no commit of main" in because(seen, "commits") and "overlay local names no digest" in because(seen, "standing")
    assert seen.approvals is not None and "nobody has approved it as" in str(seen.approvals.lacking) and seen.approvals.given == []


@pytest.mark.slow
def test_the_release_that_serves_beside_a_canary_is_told_as_stable(world, tmp_path):
    first = world.first.rpartition("@")[2]
    log = write_log(tmp_path, [decision(0, time=world.now.timestamp(), x=b"\0\0\0\0")], writer=Writer("incident", "1", first, "eu"))
    seen = world.trace("id-0-0", log=log)
    assert [(one.application, one.role, one.percent) for one in seen.standing] == [("models-databases", "stable", None), ("models-network", "stable", None)]
    assert {(one.kind, one.commit.id) for one in seen.commits} == {("brought", world.commits["first"])}
    assert seen.commits[0].records == []  # a person brought it, by a commit without a record


def test_a_record_of_another_model_in_the_same_commit_is_not_told_as_this_one_s(world, found, tmp_path):
    here = copied(world.here, tmp_path / "main")
    here.git("reset", "--quiet", "--hard", world.commits["start"])
    (record,) = read_records(here.root, PLACE, parse_reference(world.second.uri))
    other = msgspec.structs.replace(record.step, model="other")
    write_record(here.root, Place(PLACE.overlay, PLACE.application, "other"), parse_reference("presage://other:1@sha256:" + "0f" * 32), other, world.judge)
    here.git("add", "--all")
    here.git("commit", "--quiet", "--amend", "--no-edit", "--date", (world.now - timedelta(hours=5)).isoformat())
    (change,) = world.trace(found.prediction_id, repository=here.root).commits
    assert [one.path for one in change.records] == [record.path]


@pytest.mark.slow
def test_where_it_stood_in_two_applications_the_page_does_not_choose(world, found, tmp_path, monkeypatch):
    here = copied(world.here, tmp_path / "main")
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, (world.now - timedelta(hours=1)).isoformat())
    here.git("reset", "--quiet", "--hard", world.commits["start"])
    for place in ("overlays/production/models-databases/release.yaml", "rendered/production/models-databases/manifest.yaml"):
        here.replace(f"manifests/{place}", world.first, world.second.uri)
    here.commit("\x1b[31m<b>straight</b>\u202e to stable")
    seen = world.trace(found.prediction_id, repository=here.root)
    assert [(one.application, one.role) for one in seen.standing if one.fits] == [("models-databases", "stable"), ("models-network", "canary")]
    assert "it stood in production/models-databases, production/models-network" in because(seen, "standing")
    text, page = to_text(seen), to_html(seen)
    assert "\x1b" not in text and "\u202e" not in text and "<b>straight" in text  # a terminal shows marks, it does not obey them
    assert "\x1b" not in page and "\u202e" not in page and "<b>straight" not in page and "&lt;b&gt;straight" in page
    # the steps that the audit log names are not on this branch any more
    assert all(world.commits[name] in because(seen, "commits") for name in ("raise", "revert")) and world.commits["start"] not in because(seen, "commits")


def test_a_policy_that_changed_since_the_release_was_made_is_named(world, found, tmp_path, monkeypatch):
    here = copied(world.here, tmp_path / "main")
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, (world.now - timedelta(hours=1)).isoformat())
    here.git("reset", "--quiet", "--hard", world.commits["start"])
    here.replace("policies/models/incident.yaml", "missed_incident: 5000", "missed_incident: 6000")
    here.commit("an incident costs more")
    seen = world.trace(found.prediction_id, repository=here.root)
    assert seen.release is not None and seen.release.differs == ["costs"] and "differs from Git then in: costs" in to_text(seen)
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, (world.now + timedelta(hours=1)).isoformat())
    here.replace("policies/models/incident.yaml", "risk_tier: high", "# what comes later does not count\nrisk_tier: high")
    here.replace("policies/models/incident.yaml", "explanation: always", "explanation: always # for ever")
    here.commit("after the answer")
    assert world.trace(found.prediction_id, repository=here.root).policies == seen.policies


def test_a_revocation_after_the_answer_is_told_as_one(world, found, tmp_path):
    here = copied(world.here, tmp_path / "main")
    enter(here.root / "policies" / "revocations.yaml", world.digest, "trained on leaked labels", world.now.date())
    here.commit("incident:2 is revoked")
    seen = world.trace(found.prediction_id, repository=here.root)
    assert seen.policies is not None
    (line,) = (one for one in seen.policies.lines if "revocation" in one.rule)
    assert line.rule == "revocation after the answer" and "trained on leaked labels" in line.means and world.digest in line.text


def test_an_approval_of_another_digest_or_by_a_stranger_is_not_told_as_one(world, found, tmp_path, monkeypatch):
    here = copied(world.here, tmp_path / "main")
    here.git("reset", "--quiet", "--hard", world.commits["start"])
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, (world.now - timedelta(hours=1)).isoformat())
    path = here.root / "policies" / "approvals" / "incident" / "incident-2-compliance-auditor.dsse.json"
    content = path.read_bytes()
    at = content.index(b'"sig":"') + 20
    path.write_bytes(content[:at] + (b"A" if content[at : at + 1] != b"A" else b"B") + content[at + 1 :])
    elsewhere = Subject("incident:2", "sha256:" + "0f" * 32, "high")
    said = Approval("compliance", "auditor", "approve", "high", world.author.id, "", "", "", world.now.isoformat(), world.now.isoformat())
    auditor = read_key(world.state.root.parent / "people" / "auditor.key")
    (path.parent / "incident-2-of-another-digest.dsse.json").write_bytes(sign_approval(elsewhere, said, auditor))
    here.commit("forged")
    seen = world.trace(found.prediction_id, repository=here.root)
    assert seen.approvals is not None and "nobody has approved it as compliance" in str(seen.approvals.lacking)
    refused = {Path(one.source).name: one.refused for one in seen.approvals.given}
    assert refused["incident-2-model-risk-risk-officer.dsse.json"] is None and "NOT COUNTED" in to_text(seen)
    assert refused[path.name] and "approves incident:2 sha256:0f0f" in str(refused["incident-2-of-another-digest.dsse.json"])


def test_an_audit_log_that_was_changed_is_told(world, found, tmp_path):
    shutil.copytree(world.state.root, tmp_path / "state", ignore=shutil.ignore_patterns("runs", "releases", "predictions"))
    entries = tmp_path / "state" / "audit" / "entries.jsonl"
    entries.write_bytes(entries.read_bytes().replace(b"no approvals were mounted", b"all approvals were mounted"))
    seen = world.trace(found.prediction_id, state=State.open(tmp_path / "state"))
    assert seen.audit is not None and seen.audit.good is False and "NOT IN ORDER" in to_text(seen)
    assert seen.run is None and "was made elsewhere, or is gone" in because(seen, "run")


def test_a_state_without_an_audit_log_and_one_without_its_key_say_so(world, found, tmp_path):
    without = world.trace(found.prediction_id, state=State.open(tmp_path / "empty"))
    assert without.audit is None and "has no audit log" in because(without, "audit")
    AuditLog.open(tmp_path / "empty" / "audit").append("revoked", world.digest, {"digest": world.digest, "because": "leaks"}, at=world.now)
    (tmp_path / "empty" / "keys" / "audit.vkey").unlink()
    keyless = world.trace(found.prediction_id, state=State.open(tmp_path / "empty"))
    assert keyless.audit is not None and keyless.audit.good is None and [one.kind for one in keyless.audit.entries] == ["revoked"]


def test_entries_about_another_release_are_left_out(world, found, tmp_path):
    log = AuditLog.open(State.open(tmp_path / "state").root / "audit")
    for subject in ("incident:22", "presage://incident:22@sha256:" + "0f" * 32, "my-incident:2"):
        log.append("approved", subject, {"digest": "sha256:" + "0f" * 32}, at=world.now)
    seen = world.trace(found.prediction_id, state=State.open(tmp_path / "state"))
    assert seen.audit is not None and seen.audit.entries == []


class Page(HTMLParser):
    """tags with their attributes, and the text of each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_one_file_without_script_that_fetches_nothing(world):
    table = pl.scan_parquet(world.log / "decisions" / "**" / "*.parquet", hive_partitioning=False).filter(pl.col("endpoint") == "infer").collect()
    (id,) = table["prediction_id"].to_list()
    page = world.presage("audit", "trace", id, "-o", "html").stdout
    read = Page()
    read.feed(page)
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "img", "link", "iframe", "object", "form", "base", "svg"} and "table" in tags
    assert not any(name in {"src", "href"} or name.startswith("on") for _, attributes in read.tags for name in attributes)
    assert "default-src 'none'" in page and not re.search(r"url\(|@import", page)
    assert any("<script>alert(1)</script>\\x1b[2J\\u202etxt" in words for words in read.words) and HOSTILE not in page  # told, and harmless
    assert "\x1b" not in world.presage("audit", "trace", id).stdout


@pytest.mark.slow
def test_a_page_goes_into_a_file_of_its_owner(world, found, tmp_path):
    out = tmp_path / "page.html"
    assert world.presage("audit", "trace", found.prediction_id, "-o", "html", "--out", out).stdout == ""
    assert out.stat().st_mode & 0o077 == 0 and out.read_text().startswith("<!doctype html>")
    world.presage("audit", "trace", found.prediction_id, "-o", "json", "--out", tmp_path / "page.json")
    assert msgspec.json.decode((tmp_path / "page.json").read_bytes(), type=Trace).answer == found.answer


@settings(max_examples=40)
@given(st.text(alphabet=st.one_of(st.sampled_from("<>&\"'\x00\x07\x1b\x9b\n\r\u202e\u2066\u200b\ufeff\u2028"), st.characters(codec="utf-8")), max_size=40))
def test_whatever_others_wrote_the_page_stays_the_page(found, text):
    """Text and HTML hold no control character but the line breaks between facts, and no tag that is not the page's own."""

    def wrote(words: str) -> Trace:
        answer = msgspec.structs.replace(found.answer, caller_id=words, because=words, doubts=[words], context={words: words}, server=words)
        missing = [Missing("run", words, words)]
        return msgspec.structs.replace(found, answer=answer, card=msgspec.structs.replace(found.card, text=f"\n# {words}"), missing=missing)

    changed, calm = wrote(f"_{text}"), wrote("_")
    plain = to_text(changed)
    assert all(mark.isprintable() or mark == "\n" for mark in plain) and plain.count("\n") - to_text(calm).count("\n") in {0, 1}  # a card's second line
    read, before = Page(), Page()
    read.feed(to_html(changed))
    before.feed(to_html(calm))
    cells = [tag for tag, _ in read.tags]
    assert set(cells) == {tag for tag, _ in before.tags} and cells.count("tr") - [tag for tag, _ in before.tags].count("tr") in {0, 1}


def test_the_schema_of_the_page_is_made_from_its_types():
    """Else: python -m presage.lineage.schema > docs/schemas/audit-trace.json"""
    assert msgspec.json.decode((ROOT / "docs" / "schemas" / "audit-trace.json").read_bytes()) == schema()


def test_a_trace_reads_only(world, found):
    """Neither the state nor the repository is changed by it."""

    def everything() -> dict[str, str]:
        folders = (world.state.root, world.here.root / ".git")
        return {str(path): sha256_bytes(path.read_bytes()) for folder in folders for path in folder.rglob("*") if path.is_file()}

    before = everything()
    world.trace(found.prediction_id)
    assert everything() == before


def test_a_log_that_names_no_digest_is_asked_nothing_more(world, tmp_path):
    log = write_log(tmp_path, [decision(0, x=b"\0\0\0\0")], writer=Writer("incident", "2", "sha256:0' OR '1' = '1", "eu"))
    seen = world.trace("id-0-0", log=log)
    assert seen.others is None and "which is no digest" in because(seen, "others") and seen.release is None
    with pytest.raises(InputError, match="no decision is called"):
        world.trace("id-1-0", log=log)
