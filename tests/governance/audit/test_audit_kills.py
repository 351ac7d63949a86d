"""SIGKILL at any moment: nothing that was acknowledged is lost, the log verifies, and goes on."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders.audit_logs import AT, judged
from hypothesis import given, settings
from hypothesis import strategies as st

from presage.governance.audit import AuditLog, verification
from presage.governance.audit import log as appending

STEPS = ("pwrite", "fsync", "rename", "mkdir", "rmdir", "ftruncate", "truncate", "open", "close")
"""Calls of the operating system before and after which a process may be killed; a write also half-way."""


def appended_until_killed(log: AuditLog, number: int, count: int, kill_at: int) -> tuple[list[int], bool]:
    """A process of its own appends `number`, `number` + 1, …, `count` of them, and is killed at its `kill_at`-th step. What it acknowledged, and whether
    it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _die_at(kill_at)
            for one in range(number, number + count):
                log.append("released", f"incident:{one}", {"number": one, "why": "x" * 900}, at=AT)
                os.write(writer, b"%d\n" % one)
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        acknowledged = [int(line) for line in told.read().split()]
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in {0, -signal.SIGKILL}
    return acknowledged, os.waitstatus_to_exitcode(status) != 0


def _die_at(kill_at: int) -> None:
    left = [kill_at]

    def step() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepped(name, real):
        def call(*given, **named):
            step()
            if name == "pwrite":
                real(given[0], given[1][: len(given[1]) // 2], given[2])
                step()
            done = real(*given, **named)
            step()
            return done

        return call

    for name in STEPS:
        setattr(os, name, stepped(name, getattr(os, name)))


@pytest.fixture(autouse=True, scope="module")
def often():
    """A checkpoint every third entry, so that kills meet it too."""
    before = appending.EVERY
    appending.EVERY = verification.EVERY = 3
    yield
    appending.EVERY = verification.EVERY = before


def check(log: AuditLog, acknowledged: list[int]) -> list[str]:
    verdict = judged(log)
    begun = (log.folder / "tree.json").exists()
    assert begun or not acknowledged
    assert verdict.good if begun else "there is no log here" in verdict.findings[0].fact, verdict.findings
    subjects = [entry.subject for entry in log.entries()]
    assert verdict.entries == len(subjects)
    told = [subject for subject in subjects if int(subject.removeprefix("incident:")) in acknowledged]
    assert told == [f"incident:{one}" for one in acknowledged]
    return subjects


@pytest.mark.long
def test_at_every_step_of_the_first_appends(fresh):
    """Each step, until a run comes through: from the folder that is empty to past the first checkpoint."""
    root, killed_at, killed = fresh(), 0, True
    while killed:
        killed_at += 1
        log = AuditLog.open(root / "audit")
        acknowledged, killed = appended_until_killed(log, 0, 5, killed_at)
        check(log, acknowledged)
        log.append("released", "incident:99", {}, at=AT)
        assert check(log, acknowledged)[-1] == "incident:99"
        shutil.rmtree(log.folder)
    assert killed_at > 100


@pytest.mark.long
@settings(max_examples=40)
@given(kills=st.lists(st.integers(1, 70), min_size=2, max_size=5))
def test_again_and_again_also_while_it_recovers(fresh, kills):
    log = AuditLog.open(fresh() / "audit")
    acknowledged: list[int] = []
    for round_, kill_at in enumerate(kills):
        more, _ = appended_until_killed(log, 100 * round_, 4, kill_at)
        acknowledged += more
        check(log, acknowledged)
    log.append("released", "incident:999", {}, at=AT)
    assert check(log, acknowledged)[-1] == "incident:999"


def test_a_torn_line_is_set_aside_and_noted(tmp_path):
    log = AuditLog.open(tmp_path / "audit")
    log.append("released", "incident:0", {}, at=AT)
    with log.entries_path.open("ab") as handle:
        handle.write(b'{"at": "torn')
    verdict = judged(log)
    assert verdict.good and verdict.entries == 1 and "a torn line that a killed process left" in verdict.notes[0]
    log.append("released", "incident:1", {}, at=AT)
    assert [entry.subject for entry in log.entries()] == ["incident:0", "incident:1"] and not judged(log).notes
    (aside,) = (log.folder / "aside").iterdir()
    assert aside.read_bytes() == b'{"at": "torn' and aside.name.startswith("0000000001-")


def test_what_killed_processes_left_half_written_is_cleared(tmp_path):
    log = AuditLog.open(tmp_path / "audit")
    for number in range(3):
        log.append("released", f"incident:{number}", {}, at=AT)
    left = [log.folder / ".tree.json.1", log.folder / "checkpoints" / ".0000000003.1"]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(b"written")
    with log.entries_path.open("ab") as handle:
        handle.write(b"torn")
    assert judged(log).good
    log.append("released", "incident:3", {}, at=AT)
    assert not [folder for folder in left if folder.exists()] and judged(log).good


@pytest.mark.parametrize("after", [1, 12])
def test_processes_that_are_killed_while_they_append_at_once(tmp_path, after):
    """From outside, whenever it comes."""
    log = AuditLog.open(tmp_path / "audit")
    processes = [subprocess.Popen([sys.executable, "-c", APPENDING, str(log.folder), str(n)], stdout=subprocess.PIPE, text=True) for n in (1000, 2000, 3000)]
    told: dict[int, list[int]] = {}
    for process in processes:
        told[process.pid] = [int(process.stdout.readline()) for _ in range(after)]
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    for process in processes:
        told[process.pid] += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
    assert judged(log).good
    subjects = [int(entry.subject.removeprefix("incident:")) for entry in log.entries()]
    for acknowledged in told.values():
        assert [one for one in subjects if one in acknowledged] == acknowledged and acknowledged
    log.append("released", "incident:9999", {}, at=datetime.now(UTC))
    assert judged(log).good


APPENDING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from presage.governance.audit import AuditLog
from presage.governance.audit import log as appending
appending.EVERY = 3
log, number = AuditLog.open(Path(sys.argv[1])), int(sys.argv[2])
while True:
    log.append("released", f"incident:{number}", {"number": number}, at=datetime.now(UTC))
    print(number, flush=True)
    number += 1
"""


def test_a_verification_looks_between_two_appends(tmp_path, monkeypatch):
    log, take = AuditLog.open(tmp_path / "audit"), verification.Snapshot.take
    log.append("released", "incident:0", {}, at=AT)

    def taken(folder: Path) -> verification.Snapshot:
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        return take(folder)

    monkeypatch.setattr(verification.Snapshot, "take", taken)
    assert judged(log).good


def test_a_verification_while_others_append_is_not_misled(tmp_path: Path):
    log = AuditLog.open(tmp_path / "audit")
    log.append("released", "incident:0", {}, at=AT)
    process = subprocess.Popen([sys.executable, "-c", APPENDING, str(log.folder), "1"], stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(20):
            process.stdout.readline()
            verdict = judged(log)
            assert verdict.good and verdict.entries > 1, verdict.findings
    finally:
        process.kill()
        process.wait()
