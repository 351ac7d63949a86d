"""Checkpoints in a bucket with object lock (SeaweedFS): what cannot be found in the folder alone is found there, and stays there."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders.audit_logs import AT, filled, judged
from builders.object_store import ObjectStore

from presage.errors import StateError
from presage.governance.audit import AuditKey, AuditLog, Checkpoint, anchor, anchored_checkpoints
from presage.storage import locking
from presage.storage.locking import LockingBucket
from presage.storage.storage import StorageError

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ObjectStore.launched(tmp_path_factory.mktemp("object-store")) as started:
        started.wait()
        LockingBucket.open("s3://audit-anchor", started.environment("admin")).make()
        yield started


@pytest.fixture
def bucket(server, tmp_path) -> LockingBucket:
    """A prefix of its own, which nobody else's log is anchored under."""
    return LockingBucket.open(f"s3://audit-anchor/{tmp_path.name}", server.environment("admin"))


def anchored(log: AuditLog, bucket: LockingBucket) -> Checkpoint:
    return anchor(log, bucket, keep=DAY, now=datetime.now(UTC))


def keys(bucket: LockingBucket) -> list[tuple[str, bool]]:
    return sorted((version.key, version.marker) for version in bucket.versions("audit/"))


def overlaid(log: AuditLog, older: Path) -> AuditLog:
    shutil.rmtree(log.folder)
    shutil.copytree(older, log.folder)
    return log


def test_anchoring_again_changes_nothing_until_something_is_told(bucket, tmp_path):
    log = filled(tmp_path)
    made = anchored(log, bucket)
    assert made.size == 12 and anchored(log, bucket) == made == anchored(log, bucket)
    (told,) = list(log.entries())[12:]
    assert (told.kind, told.subject, told.facts["entries"], told.facts["root"]) == ("anchored", str(bucket), 12, made.root.hex())
    assert keys(bucket) == [("audit/0000000012", False)]
    log.append("released", "incident:12", {}, at=AT)
    assert anchored(log, bucket).size == 14 and keys(bucket) == [("audit/0000000012", False), ("audit/0000000014", False)]
    verdict = judged(log, anchored_checkpoints(bucket))
    assert verdict.good and (verdict.entries, verdict.anchors) == (15, 2)


def test_an_anchoring_that_was_killed_half_way_is_taken_up(bucket, tmp_path):
    """It had put the checkpoint there, and not yet said so in the log."""
    log = filled(tmp_path)
    bucket.write_locked("audit/0000000012", log.key.sign(log.checkpoint()), datetime.now(UTC) + DAY)
    assert anchored(log, bucket).size == 12 and keys(bucket) == [("audit/0000000012", False)]
    assert [entry.kind for entry in log.entries()][12:] == ["anchored"]


def test_a_log_that_was_replaced_by_an_older_copy_of_itself_is_found(bucket, tmp_path):
    """Entries, head and checkpoints together, as they once were: nothing in the folder tells."""
    log = filled(tmp_path, 8)
    shutil.copytree(log.folder, tmp_path / "older")
    for number in range(4):
        log.append("released", f"later:{number}", {}, at=AT)
    anchored(log, bucket)
    overlaid(log, tmp_path / "older")
    assert judged(log).good
    verdict = judged(log, anchored_checkpoints(bucket))
    assert not verdict.good and (verdict.findings[0].code, verdict.first_wrong) == ("tail", 8)
    assert f"its tail was cut, entries 8 to 11: {bucket}/audit/0000000012" in verdict.findings[0].fact
    with pytest.raises(StateError, match=r"tail was cut.*is not anchored"):
        anchored(log, bucket)


def test_history_that_its_own_key_signed_anew_is_found(bucket, tmp_path):
    log = filled(tmp_path)
    anchored(log, bucket)
    anew = AuditLog.open(tmp_path / "anew" / "audit", log.key)
    for entry in log.entries():
        anew.append(entry.kind, entry.subject.replace("incident:7", "incident:8"), entry.facts, at=datetime.fromisoformat(entry.at))
    overlaid(log, anew.folder)
    assert judged(log).good
    verdict = judged(log, anchored_checkpoints(bucket))
    assert [finding.code for finding in verdict.findings] == ["root"] and "the first 12 entries are not those" in verdict.findings[0].fact
    with pytest.raises(StateError, match="history was written anew"):
        anchored(log, bucket)


def test_a_log_signed_anew_by_another_key_is_found_even_with_that_key(bucket, tmp_path):
    """Whoever replaced audit.vkey as well: what is anchored is signed by the old one."""
    log = filled(tmp_path)
    anchored(log, bucket)
    other = AuditKey.open(tmp_path / "other")
    anew = AuditLog.open(tmp_path / "anew" / "audit", other)
    for entry in log.entries():
        anew.append(entry.kind, entry.subject, entry.facts, at=datetime.fromisoformat(entry.at))
    assert judged(anew).good
    verdict = judged(anew, anchored_checkpoints(bucket))
    assert {finding.code for finding in verdict.findings} == {"key", "anchor"}


def test_what_is_locked_stays_whatever_the_account_does(bucket, tmp_path):
    log = filled(tmp_path)
    anchored(log, bucket)
    (version,) = bucket.versions("audit/")
    note = bucket.read_version(version.key, version.version, 4096)
    with pytest.raises(StorageError, match=r"refuses DELETE|AccessDenied|failed at DELETE"):
        bucket._ask("DELETE", version.key, query={"versionId": version.version}, expected={204})
    assert not bucket.write_locked(version.key, b"another", datetime.now(UTC) + DAY)
    bucket.write(version.key, b"another")  # a new version is taken, over the old one
    bucket._ask("DELETE", version.key, expected={204})  # and a marker, over both
    assert list(bucket.listed("audit/")) == []  # as it seems
    assert keys(bucket) == [("audit/0000000012", False), ("audit/0000000012", False), ("audit/0000000012", True)]
    assert bucket.read_version(version.key, version.version, 4096) == note


def test_a_hidden_checkpoint_is_read_all_the_same_and_the_hiding_is_told(bucket, tmp_path):
    log = filled(tmp_path, 8)
    shutil.copytree(log.folder, tmp_path / "older")
    log.append("released", "later", {}, at=AT)
    anchored(log, bucket)
    bucket.write("audit/0000000009", b"junk")
    bucket._ask("DELETE", "audit/0000000009", expected={204})
    verdict = judged(log, anchored_checkpoints(bucket))
    facts = " ".join(finding.fact for finding in verdict.findings)
    assert (verdict.entries, verdict.anchors) == (10, 1) and "a marker hides it" in facts and "is no signed checkpoint" in facts
    overlaid(log, tmp_path / "older")
    assert "its tail was cut, entry 8:" in " ".join(finding.fact for finding in judged(log, anchored_checkpoints(bucket)).findings)


def test_what_others_put_there_keeps_nobody_from_anchoring(bucket, tmp_path):
    log = filled(tmp_path)
    anchored(log, bucket)
    bucket._ask("DELETE", "audit/0000000012", expected={204})
    bucket.write("audit/9999999999", b"junk")
    log.append("released", "later", {}, at=AT)
    assert anchored(log, bucket).size == 14
    bucket.write("audit/0000000016", b"junk")
    log.append("released", "later", {}, at=AT)
    with pytest.raises(StateError, match="is taken by something else"):
        anchored(log, bucket)
    log.append("released", "later", {}, at=AT)
    assert anchored(log, bucket).size == 17


def test_a_tampered_log_is_not_anchored(bucket, tmp_path):
    log = filled(tmp_path)
    log.entries_path.write_bytes(log.entries_path.read_bytes().replace(b"incident:3", b"incident:x"))
    with pytest.raises(StateError, match=r"entry 4 does not name the digest that entry 3 has.*is not anchored"):
        anchored(log, bucket)
    assert keys(bucket) == []


def test_an_anchor_that_holds_nothing_is_no_proof(bucket, tmp_path):
    (finding,) = judged(filled(tmp_path), anchored_checkpoints(bucket)).findings
    assert finding.code == "anchor" and "no checkpoint of this log is anchored there" in finding.fact


def test_many_versions_are_listed_to_the_end(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(locking, "_PAGE", 2)
    asked, ask = [], LockingBucket._ask
    monkeypatch.setattr(LockingBucket, "_ask", lambda self, *given, **named: (asked.append(named.get("query", {})), ask(self, *given, **named))[1])
    log = filled(tmp_path, 1)
    for _ in range(3):
        log.append("released", "later", {}, at=AT)
        anchored(log, bucket)
    bucket.write("audit/0000000002", b"junk")
    bucket._ask("DELETE", "audit/0000000004", expected={204})
    assert keys(bucket) == [(f"audit/{size:010}", marker) for size, marker in ((2, False), (2, False), (4, False), (4, True), (6, False))]
    assert len([query for query in asked if "key-marker" in query]) >= 2  # pages after the first


def test_buckets_without_a_lock_and_buckets_that_are_not_there_are_told(server, tmp_path):
    log, environment = filled(tmp_path, 1), server.environment("admin")
    with pytest.raises(StorageError, match=r"s3://releases has no object lock"):
        LockingBucket.open("s3://releases", environment).make()
    with pytest.raises(StorageError, match="takes no locked object"):
        anchored(log, LockingBucket.open("s3://releases/audit", environment))
    with pytest.raises(StorageError, match="has no bucket nowhere"):
        anchored(log, LockingBucket.open("s3://nowhere", environment))
    with pytest.raises(StorageError, match="is no bucket"):
        LockingBucket.open(str(tmp_path), environment)
    LockingBucket.open("s3://audit-anchor", environment).make()  # there already, with lock: nothing happens


@pytest.mark.long
def test_the_commands_anchor_and_hold_against_it(server, bucket, tmp_path):
    log = filled(tmp_path, 4)
    key = tmp_path / "elsewhere.vkey"
    key.write_text(str(log.key.public))
    shutil.copytree(log.folder, tmp_path / "older")
    log.append("released", "later", {}, at=AT)

    def run(*words):
        environment = {**os.environ, **server.environment("admin")}
        command = [sys.executable, "-m", "presage.cli", "--state", str(tmp_path), "audit", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    place = str(bucket)
    early = run("verify", "--anchor", place)
    assert early.returncode == 1 and "no checkpoint of this log is anchored there" in early.stdout
    made = run("anchor", "--to", place, "--keep", "1d", "-o", "json")
    assert json.loads(made.stdout)["entries"] == 5, made.stderr
    good = run("verify", "--anchor", place, "--key", str(key), "-o", "json")
    assert good.returncode == 0 and json.loads(good.stdout)["anchors"] == 1
    overlaid(log, tmp_path / "older")
    assert run("verify").returncode == 0
    cut = run("verify", "--anchor", place, "--key", str(key))
    assert cut.returncode == 1 and "its tail was cut, entry 4" in cut.stdout and "Restore the log from a backup" in cut.stderr
