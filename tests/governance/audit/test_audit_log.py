"""The audit log: appended to by many, read back as it was, in forms that others read too."""

import base64
import json
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from builders.audit_logs import AT, filled, judged
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from presage.errors import InputError, StateError
from presage.governance.audit import AuditKey, AuditLog, Checkpoint, VerifyingKey, read_entries, record_refusal
from presage.governance.audit import log as appending
from presage.governance.audit.entries import parse_entry
from presage.governance.audit.tree import Tree

FACTS = st.dictionaries(
    st.text(max_size=12), st.none() | st.booleans() | st.text(max_size=40) | st.integers() | st.floats() | st.lists(st.integers()), max_size=5
)


def test_a_log_that_nobody_touched_is_in_order(whole):
    verdict = judged(whole)
    assert verdict.good and (verdict.entries, verdict.checkpoints, verdict.notes) == (12, 2, ())
    assert [entry.n for entry in whole.entries()] == list(range(12))
    files = [path for path in (*whole.folder.rglob("*"), whole.folder.parent / "keys" / "audit.key") if path.is_file()]
    assert {oct(path.stat().st_mode)[-3:] for path in files} == {"600"} and len(files) == 5
    assert {oct(path.stat().st_mode)[-3:] for path in (whole.folder, whole.folder / "checkpoints")} == {"700"}


@given(facts=FACTS, subject=st.text(max_size=40))
def test_what_is_taken_is_read_back_as_it_was_and_the_rest_is_refused(fresh, facts, subject):
    log = AuditLog.open(fresh() / "audit")
    try:
        made = log.append("approved", subject, facts, at=AT)
    except InputError:
        assert judged(log).entries == 0
        log.append("approved", "incident:1", {}, at=AT)  # and it can still be appended to
    else:
        assert list(log.entries()) == [made] and (made.subject, made.facts) == (subject, facts)
    assert judged(log).good


@pytest.mark.parametrize("facts", [{"of": {"flat": "not"}}, {"score": float("nan")}, {"at": AT}, {"large": 2**64}, {"half": "\ud800"}, {"data": "x" * 20_000}])
def test_what_is_no_fact_is_refused_and_changes_nothing(tmp_path, facts):
    log = filled(tmp_path, 1)
    with pytest.raises(InputError):
        log.append("approved", "incident:1", facts, at=AT)
    assert judged(log).entries == 1


@pytest.mark.parametrize("line", [b'{"n":0}', b"[]", b"\xff"])
def test_a_line_is_an_entry_in_its_one_spelling_or_none(whole, line):
    first = whole.entries_path.read_bytes().splitlines()[0]
    assert parse_entry(first, 0, "here").line() == first
    for other in (line, first.replace(b":", b": ", 1), first + b" ", first.replace(b'"at":"20', b'"at":"x'), first.replace(b'"n":0', b'"n":0,"n":0')):
        with pytest.raises(StateError, match=r"here: .*entry 0"):
            parse_entry(other, 0, "here")


def test_an_unknown_kind_and_a_time_without_a_zone_are_refused(tmp_path):
    log = AuditLog.open(tmp_path / "audit")
    for subject in (None, 7, tmp_path):
        with pytest.raises(InputError, match="cannot be written"):
            log.append("approved", subject, {}, at=AT)
    with pytest.raises(InputError, match="no kind of entry"):
        log.append("rumour", "incident:1", {}, at=AT)
    with pytest.raises(InputError, match="no time zone"):
        log.append("approved", "incident:1", {}, at=datetime(2026, 1, 1))


def test_processes_and_threads_that_append_at_once_make_one_chain(tmp_path):
    words = [sys.executable, "-c", APPENDING, str(tmp_path / "audit")]
    processes = [subprocess.Popen([*words, name, "15"], stdout=subprocess.DEVNULL) for name in "abc"]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda number: AuditLog.open(tmp_path / "audit").append("approved", f"thread:{number}", {}, at=AT), range(15)))
    assert [process.wait() for process in processes] == [0, 0, 0]
    log = AuditLog.open(tmp_path / "audit")
    assert judged(log).good
    subjects = [entry.subject for entry in log.entries()]
    assert len(subjects) == 60
    for name in "abc":  # each in its own order
        assert [subject for subject in subjects if subject.startswith(name)] == [f"{name}:{number}" for number in range(15)]


APPENDING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from presage.governance.audit import AuditLog
for number in range(int(sys.argv[3])):
    AuditLog.open(Path(sys.argv[1])).append("released", f"{sys.argv[2]}:{number}", {"number": number}, at=datetime.now(UTC))
    print(number, flush=True)
"""


def test_a_checkpoint_is_made_by_itself_every_so_many_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(appending, "EVERY", 4)
    log = filled(tmp_path, 10, ())
    assert sorted(path.name for path in (log.folder / "checkpoints").iterdir()) == ["0000000004", "0000000008"]


def test_an_append_reads_no_more_of_a_long_log_than_of_a_short_one(fresh):
    """By what the process reads: the head and the last line."""
    log = filled(fresh(), 3, ())

    def read_by_one_append() -> int:
        before = _read_so_far()
        log.append("approved", "incident:1", {}, at=AT)
        return _read_so_far() - before

    read_by_one_append()
    short = read_by_one_append()
    for number in range(150):
        log.append("approved", f"incident:{number}", {"why": "x" * 300}, at=AT)
    assert read_by_one_append() - short < 20_000 < log.entries_path.stat().st_size


def _read_so_far() -> int:
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["rchar"])


def test_a_line_is_on_the_disk_before_a_head_over_it_and_both_before_it_is_acknowledged(tmp_path, monkeypatch):
    log, done = filled(tmp_path, 2, ()), []
    real = {"fsync": os.fsync, "rename": os.rename}
    monkeypatch.setattr(os, "fsync", lambda descriptor: (real["fsync"](descriptor), done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")))
    monkeypatch.setattr(os, "rename", lambda old, new: (real["rename"](old, new), done.append(f"rename {Path(new).name}")))
    log.append("approved", "incident:1", {}, at=AT)
    assert done == ["sync entries.jsonl", "sync tree.json", "rename tree.json", "sync audit"]


def test_a_disk_that_is_full_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    log = filled(tmp_path, 3, ())
    before = log.entries_path.read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, hard))  # the kernel takes a part of the line, and then refuses
    try:
        with pytest.raises(StateError, match=r"no space left|cannot be written"):
            log.append("approved", "incident:4", {}, at=AT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.entries_path.read_bytes() == before and judged(log).good

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(StateError, match="what is not in it is not done"):
        patched.setattr(appending, "write_bytes", full)  # the line fits, the head does not
        log.append("approved", "incident:4", {}, at=AT)
    assert log.entries_path.read_bytes() == before and judged(log).good and not judged(log).notes
    assert log.append("approved", "incident:4", {}, at=AT).n == 3 and judged(log).good


def test_a_refusal_stays_one_where_the_log_cannot_be_written(tmp_path, capsys):
    made = record_refusal(tmp_path / "audit", "gate-refused", "incident:7", {"because": "y" * 30_000, "half": "\ud800"}, at=AT)
    assert made is not None and len(made.facts["because"]) < 1100 and list(read_entries(tmp_path / "audit")) == [made]
    (tmp_path / "audit" / "tree.json").write_bytes(b"damaged")
    assert record_refusal(tmp_path / "audit", "gate-refused", "incident:8\x1b[2J", {}, at=AT) is None
    told = capsys.readouterr().err
    assert "missing from the audit log: gate-refused incident:8\\x1b[2J" in told and "tree.json" in told


def test_a_key_that_was_lost_or_replaced_is_not_made_anew(tmp_path):
    keys = tmp_path / "keys"
    first, other = AuditKey.open(keys), AuditKey.open(tmp_path / "other")
    assert AuditKey.open(keys).public == first.public != other.public
    (keys / "audit.vkey").write_text(f"{other.public}\n")
    with pytest.raises(StateError, match="is not the public half"):
        AuditKey.open(keys)
    (keys / "audit.key").chmod(0o640)
    with pytest.raises(StateError, match="chmod 600"):
        AuditKey.open(keys)
    (keys / "audit.key").unlink()
    with pytest.raises(StateError, match=r"is gone.*Restore it from a backup"):
        AuditKey.open(keys)


@given(st.integers(0, 70))
def test_the_root_is_that_of_rfc_6962(size):
    """By the definition itself: the largest power of two below splits the leaves."""
    leaves = [str(number).encode() for number in range(size)]

    def root(part: list[bytes]) -> bytes:
        if not part:
            return sha256().digest()
        if len(part) == 1:
            return sha256(b"\x00" + part[0]).digest()
        split = 1 << ((len(part) - 1).bit_length() - 1)
        return sha256(b"\x01" + root(part[:split]) + root(part[split:])).digest()

    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    assert tree.root() == root(leaves)


def test_the_root_is_the_one_that_certificate_transparency_publishes():
    """The reference leaves and root of RFC 6962's own implementation."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    tree = Tree()
    for leaf in leaves:
        tree.add(bytes.fromhex(leaf))
    assert tree.root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_a_published_key_and_its_note_are_read_as_c2sp_says():
    """The key and signature that the note format's own documentation shows."""
    key = VerifyingKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    blob = base64.b64decode("x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=")
    assert blob[:4] == key.hash
    Ed25519PublicKey.from_public_bytes(key.public).verify(blob[4:], text.encode())
    with pytest.raises(StateError, match="no signed checkpoint"):  # a note, and no checkpoint
        Checkpoint.parse(f"{text}\n\u2014 PeterNeumann {base64.b64encode(blob).decode()}\n".encode(), key, "it")


def test_a_checkpoint_is_read_by_the_specification_alone(whole):
    """Nothing of ours takes part: tlog-checkpoint and signed-note, by hand."""
    note = (whole.folder / "checkpoints" / "0000000008").read_text(encoding="utf-8")
    text, signature = note.rsplit("\n\n", 1)
    origin, size, root = text.split("\n")
    dash, name, blob = signature.removesuffix("\n").split(" ")
    written = (whole.folder.parent / "keys" / "audit.vkey").read_text().strip()
    key_name, key_hash, encoded = written.split("+", 2)
    public = base64.b64decode(encoded)
    assert (dash, size, name, origin) == ("\u2014", "8", key_name, key_name) and not set(name) & set(" +")
    assert public[:1] == b"\x01" and sha256(f"{name}\n".encode() + public).digest()[:4].hex() == key_hash
    signed = base64.b64decode(blob)
    assert signed[:4].hex() == key_hash
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(signed[4:], f"{text}\n".encode())
    tree = Tree()
    for line in whole.entries_path.read_bytes().splitlines()[:8]:
        tree.add(line)
    assert base64.b64decode(root) == tree.root()


@pytest.mark.parametrize("change", [lambda key: key.replace("+A", "+B", 1), lambda key: "x" + key, lambda key: key[:-9], lambda _: "", " ".join])
def test_what_is_no_vkey_is_refused(whole, change):
    with pytest.raises(InputError, match="no vkey"):
        VerifyingKey.parse(change(str(whole.key.public)))


def command(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "presage.cli", "--state", str(state), "audit", *words], capture_output=True, text=True, check=False)


@pytest.mark.long
def test_the_command_says_which_entry_and_what_to_do(tmp_path):
    log = filled(tmp_path, 5, ())
    good = command(tmp_path, "verify")
    assert good.returncode == 0 and "5 entries in order" in good.stdout and "--anchor" in good.stderr
    path = tmp_path / "audit" / "entries.jsonl"
    path.write_bytes(path.read_bytes().replace(b"incident:2", b"incident:9"))
    bad = command(tmp_path, "verify")
    assert bad.returncode == 1 and "entry 3 does not name the digest that entry 2 has" in bad.stdout and "Restore the log from a backup" in bad.stderr
    document = json.loads(command(tmp_path, "verify", "-o", "json").stdout)
    assert (document["good"], document["first_wrong"], document["findings"][0]["code"]) == (False, 2, "order")
    other = AuditKey.open(tmp_path / "other").public
    (tmp_path / "other.vkey").write_text(str(other))
    refused = command(tmp_path, "verify", "--key", str(tmp_path / "other.vkey"))
    assert refused.returncode == 1 and "signed by another key" in refused.stdout
    assert log.key.public != other


@pytest.mark.long
def test_show_names_entries_by_kind_subject_and_time(tmp_path):
    log = filled(tmp_path, 5, ())
    log.append("gate-refused", "incident:9\x1b[2J", {"because": "line\nbreak"}, at=AT + timedelta(hours=1))
    shown = json.loads(command(tmp_path, "show", "--last", "2", "--kind", "released", "-o", "json").stdout)
    assert [entry["subject"] for entry in shown] == ["incident:3", "incident:4"]
    table = command(tmp_path, "show", "--since", "2026-11-25T12:30").stdout.splitlines()
    assert len(table) == 2 and table[0].split() == ["N", "AT", "KIND", "SUBJECT", "FACTS"] and "incident:9\\x1b[2J" in table[1] and "\x1b" not in table[1]
    assert len(json.loads(command(tmp_path, "show", "--subject", "incident:1", "-o", "json").stdout)) == 1
    assert command(tmp_path, "show", "--kind", "rumour").returncode == 2
    empty = command(tmp_path / "empty", "show")
    assert empty.returncode == 0 and "no such entry" in empty.stderr and not (tmp_path / "empty" / "audit").exists()
