"""A subject is forgotten by dropping its key: then nothing opens, in the log nor in its copies."""

import sqlite3

import polars as pl
import pytest
from builders.logs import NOON, decision, floats, masking, snapshot, write_log
from builders.releases import LocalKeys

from inference.log.erase import erase
from inference.log.folder import TABLES, files
from inference.log.iceberg import open_catalogue, sync_iceberg
from inference.log.parquet_copy import copy_parquet
from inference.log.reading import Snapshots, read_decisions
from inference.log.subjects import Subjects
from presage.errors import StateError

BY_CUSTOMER = {
    "subject: none": "subject: context.customer", "caller_id: free text": "caller_id: subject", "otherwise: internal ": "otherwise: subject ",
    "named: {domain: internal,": "named: {customer: subject, domain: internal,",
}  # fmt: skip
BY_SERVER = {"subject: none": "subject: server", "server: internal ": "server: subject ", "otherwise: internal ": "otherwise: subject "}


def about(number, customer, **changes):
    return decision(number, caller_id=f"visit of {customer}", context={"customer": customer, "domain": "network"}, x=floats(number, 0.5), **changes)


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys" / "subjects.db"


@pytest.fixture
def log(tmp_path, keys):
    return write_log(tmp_path, [about(1, "Ann"), about(2, "Bob"), about(3, "Ann"), decision(4)], by=masking(BY_CUSTOMER, keys))


def read(log, keys):
    with Subjects.open(keys) as subjects:
        return [logged for file in files(log, "decisions") for logged in read_decisions(file, subjects)]


def test_what_belongs_to_a_subject_is_not_readable_in_the_log(log):
    content = b"".join(path.read_bytes() for path in log.rglob("*.parquet"))
    assert b"Ann" not in content and b"Bob" not in content and b"visit" not in content and floats(1, 0.5) not in content


def test_with_the_key_a_decision_reads_as_it_was_made(log, keys):
    found = read(log, keys)
    assert [one.decision for one in found[:3]] == [about(1, "Ann"), about(2, "Bob"), about(3, "Ann")]
    assert [one.opened for one in found] == ["opened", "opened", "opened", "plain"]


def test_a_record_that_names_no_subject_keeps_nothing_of_that_class(tmp_path, keys):
    log = write_log(tmp_path, [decision(1, caller_id="Ann called", x=floats(1, 2))], by=masking(BY_CUSTOMER, keys))
    [found] = read(log, keys)
    assert found.decision.caller_id == "<masked>" and found.subject is None


def test_one_subject_has_one_pseudonym_so_joins_work(log, keys):
    subjects = [one.subject for one in read(log, keys)]
    assert subjects[0] == subjects[2] != subjects[1] and subjects[3] is None


@pytest.mark.long
def test_after_erasure_nothing_decrypts_in_the_log_and_in_every_copy_of_it(tmp_path, log, keys):
    catalogue = f"sqlite:///{tmp_path / 'catalog.db'}"
    sync_iceberg(log, catalogue, None, {})
    copy_parquet(log, tmp_path / "copy")
    with Subjects.open(keys) as subjects:
        ann = subjects.pseudonym("Ann")
        dry = erase(log, "Ann", subjects, NOON + 100, dry_run=True)
        assert (dry.had_key, dry.decisions) == (True, 2) and subjects.pseudonym("Ann") == ann
        done = erase(log, "Ann", subjects, NOON + 100, dry_run=False)
        assert (done.had_key, done.decisions, done.snapshots) == (True, 2, 0)
    for place in (log, tmp_path / "copy"):
        found = read(place, keys)
        assert [one.opened for one in found] == ["sealed", "opened", "sealed", "plain"]
        assert not found[0].decision.x and not found[0].decision.caller_id and found[1].decision == about(2, "Bob")
    there = open_catalogue(catalogue, None, {}).load_table("presage.decisions").scan().to_arrow()
    sealed = {row["prediction_id"]: row["sealed"] for row in there.select(["prediction_id", "sealed"]).to_pylist()}
    here = pl.concat([pl.read_parquet(file.path, hive_partitioning=False) for file in files(log, "decisions")])
    assert sealed == dict(here.select("prediction_id", "sealed").iter_rows()), "the same ciphertext travels"
    with Subjects.open(keys) as subjects:
        assert subjects.by_pseudonym(ann) is None and subjects.pseudonym("Ann") is None
        bob = subjects.key("Bob", NOON + 200)
        with pytest.raises(StateError, match="does not open"):
            bob.open(sealed["id-1-0"], b"decision|id-1-0")


def test_the_dropped_key_is_nowhere_in_the_key_store_s_files(log, keys):
    with Subjects.open(keys) as subjects:
        [key] = sqlite3.connect(keys).execute("SELECT key FROM subject WHERE pseudonym = ?", (subjects.pseudonym("Ann"),)).fetchone()
        assert len(key) == 32
        subjects.forget("Ann", NOON + 100)
        content = b"".join(path.read_bytes() for path in keys.parent.iterdir())
    assert key not in content and b"Ann" not in content


def test_records_of_before_that_arrive_after_the_erasure_get_no_key_and_later_ones_another(tmp_path, log, keys):
    with Subjects.open(keys) as subjects:
        before = subjects.pseudonym("Ann")
        subjects.forget("Ann", NOON + 100)
    log = write_log(tmp_path, [about(50, "Ann"), about(150, "Ann")], by=masking(BY_CUSTOMER, keys))
    late = {one.decision.prediction_id: one for one in read(log, keys)}
    assert late["id-50-0"].subject is None and not late["id-50-0"].decision.x and late["id-50-0"].decision.caller_id == "<forgotten>"
    assert late["id-150-0"].decision == about(150, "Ann") and late["id-150-0"].subject not in (None, before)
    assert b"Ann" not in b"".join(path.read_bytes() for path in log.rglob("*.parquet"))


def test_an_online_row_belongs_to_the_subject_it_is_named_after_and_goes_with_it(tmp_path, keys):
    log = write_log(tmp_path, [snapshot("server-1"), decision(1), snapshot("server-2"), decision(2)], by=masking(BY_SERVER, keys))
    assert b"server-" not in b"".join(path.read_bytes() for path in log.rglob("*.parquet"))
    [file] = files(log, "decisions")
    with Subjects.open(keys) as subjects:
        rows = Snapshots(log, subjects).of(read_decisions(file, subjects), file.day)
        assert sorted(rows.values(), key=lambda row: row.server) == [snapshot("server-1"), snapshot("server-2")]
        assert erase(log, "server-1", subjects, NOON + 100, dry_run=False).snapshots == 1
        found = read_decisions(file, subjects)
        assert [one.opened for one in found] == ["sealed", "opened"]
        assert list(Snapshots(log, subjects).of(found, file.day).values()) == [snapshot("server-2")]


def test_shipped_twice_a_sealed_record_is_the_same_to_the_byte(tmp_path, keys):
    by = masking(BY_CUSTOMER, keys)
    logs = [write_log(tmp_path / name, [about(1, "Ann")], by=by) for name in "ab"]
    first, second = ([pl.read_parquet(file.path, hive_partitioning=False)["sealed"][0] for file in files(log, "decisions")] for log in logs)
    assert first == second


def test_a_sealed_part_moved_to_another_record_does_not_open(log, keys):
    [_, moved, *_] = pl.read_parquet(files(log, "decisions")[0].path, hive_partitioning=False)["sealed"]
    with Subjects.open(keys) as subjects, pytest.raises(StateError, match="does not open"):
        subjects.key("Bob", NOON + 5).open(moved, b"decision|id-1-0")


def test_only_its_owner_may_read_the_key_store(log, keys):
    assert keys.stat().st_mode & 0o077 == 0 and keys.parent.stat().st_mode & 0o077 == 0


def test_with_a_vault_keys_lie_in_the_store_wrapped_and_without_it_nothing_opens(tmp_path, keys):
    vault = LocalKeys()
    log = write_log(tmp_path, [about(1, "Ann")], by=masking(BY_CUSTOMER, keys, vault))
    content = b"".join(path.read_bytes() for path in keys.parent.iterdir())
    assert b"vault:v1:" in content and b"Ann" not in content
    wrapped = [row[0] for row in sqlite3.connect(keys).execute("SELECT key FROM subject UNION SELECT value FROM store")]
    assert len(wrapped) == 2 and not any(vault.unwrap(one.decode()) in content for one in wrapped)
    with Subjects.open(keys, vault) as subjects:
        assert read_decisions(files(log, "decisions")[0], subjects)[0].decision == about(1, "Ann")
    with pytest.raises(StateError, match="wrapped by Vault"):
        Subjects.open(keys)


@pytest.mark.parametrize("table", TABLES)
def test_an_ordinary_log_seals_nothing(tmp_path, table):
    log = write_log(tmp_path, [snapshot("server-1"), decision(1)])
    [file] = files(log, table)
    assert pl.read_parquet(file.path, hive_partitioning=False).select("subject", "sealed").row(0) == (None, None)
