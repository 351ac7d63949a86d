"""SIGKILL at any call of the operating system, over real stores: run again, it ends where a run that was not killed ends, with one entry a deletion."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders.audit_logs import judged
from builders.logs import DAY, NOON, decision, write_log
from builders.releases import parts, world
from builders.retention import ROOT, terms
from hypothesis import given, settings
from hypothesis import strategies as st

from presage.files import write_json
from presage.governance.audit import AuditLog
from presage.governance.retention.applying import apply
from presage.governance.retention.journal import Journal
from presage.governance.retention.stores.packages import Leftovers, Packages
from presage.governance.retention.stores.prediction_log import PredictionLog
from presage.governance.retention.stores.snapshots import Snapshots
from presage.governance.retention.verifying import Verified, verify
from presage.package.store import ReleaseStore

LATER = datetime.now(UTC) + timedelta(days=3000)
STEPS = ("unlink", "rmdir", "rename", "mkdir", "pwrite", "fsync", "ftruncate", "truncate")
"""Calls that change something on the disk: a process may be killed before and after each."""


class Listed(PredictionLog):
    """Its list is read once, by the real program: a process for it at each of hundreds of kills would take minutes."""

    known: "list" = []  # noqa: RUF012

    def items(self):
        yield from (one for one in self.known if (self.folder / one.id).exists())


@pytest.fixture(scope="module")
def states():
    """Makes copies of a state with two old files of the log, two old runs and an old release that are due, in memory where there is a file system for that."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="presage-retention-", dir=memory if os.access(memory, os.W_OK) else None) as base:
        root = Path(base) / "made"
        made = world(root)
        for seed in (22, 23, 24):
            made.publish({"primary": parts(seed=seed), "simpler": parts("incident-simpler", 8)})
        write_log(root, *([decision(day, server="server-0", time=NOON + day * DAY)] for day in range(2)))
        for day in range(4):
            folder = root / "runs" / f"2026010{day + 1}-000000-{day:04x}"
            for name in ("a", "b"):
                (folder / "artifacts" / "step" / name).mkdir(parents=True)
                (folder / "artifacts" / "step" / name / "rows.parquet").write_bytes(name.encode())
            write_json(folder / "run.json", {"request": {"pipeline": "incident-training"}})
            write_json(folder / "result.json", {"model": {"uri": f"presage://incident:{day + 1}@sha256:" + "0" * 64}})
            write_json(root / "cache" / f"{day}.json", {"uri": f"{folder}/artifacts/step/a"})
        Listed.known = list(PredictionLog(root / "log", terms()).items())
        shutil.rmtree(root / "made")
        count = [0]

        def copy() -> Path:
            count[0] += 1
            return shutil.copytree(root, Path(base) / str(count[0]))

        yield copy


def stores(root):
    layout, by = ReleaseStore(root / "releases").layout, terms()
    return [Listed(root / "log", by), Packages(layout, by, {}, now), Leftovers(layout, by, now), Snapshots(root / "runs", root / "cache", by, {})]


def now():
    return LATER


def go(root, **options):
    return apply(stores(root), terms(), AuditLog.open(root / "audit"), Journal(root / "retention"), now, **options)


def killed(root, kill_at, **options):
    """A process of its own, killed at its kill_at-th step; whether it was."""
    child = os.fork()
    if child == 0:
        try:
            _die_at(kill_at)
            go(root, **options)
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, -signal.SIGKILL}
    return status != 0


def _die_at(kill_at):
    left = [kill_at]

    def step():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepped(real):
        def call(*given, **named):
            step()
            done = real(*given, **named)
            step()
            return done

        return call

    for name in STEPS:
        setattr(os, name, stepped(getattr(os, name)))


def kept(root):
    """Every file that is not retention's own, the audit log's or a key's."""
    return sorted(path.relative_to(root).as_posix() for name in ("log", "releases", "runs", "cache") for path in (root / name).rglob("*") if path.is_file())


def told(root):
    """But for what was half-written when the writer of an index was killed: that is left over, and goes as such."""
    entries = AuditLog.open(root / "audit").entries()
    return sorted((entry.subject, str(entry.facts["content"])) for entry in entries if not entry.subject.startswith("leftovers/.index.json."))


def check(root):
    """What is told of is gone, and whole."""
    for subject, _ in told(root):
        store, _, name = subject.partition("/")
        if store == "snapshots":
            assert {path.name for path in (root / "runs" / name).iterdir()} == {"run.json", "result.json"}, subject
        elif store == "prediction-log":
            assert not (root / "log" / name).exists(), subject
        elif store == "packages":
            assert int(name.partition("@")[0].rpartition(":")[2]) not in ReleaseStore(root / "releases").versions("incident"), subject


def settled(root, reference):
    assert kept(root) == kept(reference) and told(root) == told(reference)
    assert judged(AuditLog.open(root / "audit")).good
    assert list(verify(stores(root), terms(), root / "audit", Journal(root / "retention"), now=LATER, tolerance=timedelta(0), counted=Verified())) == []


@pytest.fixture(scope="module")
def reference(states):
    """Where a run that nobody kills ends."""
    root = states()
    assert go(root).deleted == 4 and [one.partition("/")[0] for one, _ in told(root)] == ["packages", "prediction-log", "prediction-log", "snapshots"]
    return root


@pytest.mark.long
def test_at_every_few_steps_of_a_whole_run(states, reference):
    """Not at each: there are some three hundred. Which ones differs by where each store's steps lie."""
    kill_at, was_killed, places = 0, True, 0
    while was_killed:
        kill_at, places, root = kill_at + 11, places + 1, states()
        was_killed = killed(root, kill_at)
        check(root)
        go(root)
        settled(root, reference)
        shutil.rmtree(root)
    assert places > 10


@pytest.mark.long
@settings(max_examples=12)
@given(st.lists(st.tuples(st.integers(1, 120), st.sampled_from([None, 1, 2])), min_size=2, max_size=4))
def test_again_and_again_also_while_it_recovers(states, reference, kills):
    root = states()
    for kill_at, at_most in kills:
        killed(root, kill_at, at_most=at_most)
        check(root)
    while go(root, at_most=1).more:
        pass
    settled(root, reference)
    shutil.rmtree(root)


PROGRAM = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from builders.retention import item, terms
from presage.governance.audit import AuditLog
from presage.governance.retention.applying import apply
from presage.governance.retention.journal import Journal
from presage.governance.retention.stores.snapshots import Snapshots

root = Path(sys.argv[1])
store = Snapshots(root / "runs", root / "cache", terms(), {})
late = datetime.now(UTC) + timedelta(days=3000)
apply([store], terms(), AuditLog.open(root / "audit"), Journal(root / "retention"), lambda: late, told=lambda one: print(one.item.id, flush=True))
"""


@pytest.mark.long
def test_a_process_that_is_killed_from_outside_whenever_it_comes(tmp_path):
    for day in range(40):
        folder = tmp_path / "runs" / f"{datetime(2026, 1, 1) + timedelta(days=day):%Y%m%d-%H%M%S}-{day:04x}"
        (folder / "artifacts" / "step").mkdir(parents=True)
        for number in range(20):
            (folder / "artifacts" / "step" / f"{number}.parquet").write_bytes(b"rows")
        write_json(folder / "run.json", {"request": {"pipeline": "incident-training"}})
    due = {path.name for path in sorted((tmp_path / "runs").iterdir())[:-3]}
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    for after in (1, 3, 7):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=surroundings)
        acknowledged = [process.stdout.readline().strip() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        assert process.wait() == -signal.SIGKILL
        subjects = [entry.subject.partition("/")[2] for entry in AuditLog.open(tmp_path / "audit").entries()]
        assert set(acknowledged) <= set(subjects) <= due and len(subjects) == len(set(subjects))
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.DEVNULL, check=True, env=surroundings)
    log = AuditLog.open(tmp_path / "audit")
    assert sorted(entry.subject.partition("/")[2] for entry in log.entries()) == sorted(due) and judged(log).good
    assert {path.name for path in (tmp_path / "runs").iterdir() if (path / "artifacts").exists()} == {path.name for path in (tmp_path / "runs").iterdir()} - due
    assert not list((tmp_path / "runs").rglob(".retired.*"))
