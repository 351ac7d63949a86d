"""The main job from end to end, as a person types it: up, watch, status, predict, down."""

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from pathlib import Path

import jsonschema_rs
import psutil
import pytest
from builders.runs import SOURCE

from presage.local.children import marked
from presage.local.record import read_record
from presage.state import State

SERVERS = 6
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


class Presage:
    """The command line over one state directory."""

    def __init__(self, state: Path) -> None:
        self.state = State.open(state)

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "presage.cli", "--state", str(self.state.root), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, env=os.environ | {"OMP_NUM_THREADS": "1"})
        assert done.returncode == code, done.stderr[-2000:]
        return done

    def json(self, *words: str) -> object:
        return json.loads(self(*words, "-o", "json").stdout.splitlines()[-1])


@pytest.fixture
def presage(tmp_path, trained_state):
    shutil.copytree(trained_state.root, tmp_path / "state")
    made = Presage(tmp_path / "state")
    yield made
    made("down")


def holds_to_schema(document: object, name: str) -> None:
    jsonschema_rs.validator_for(json.loads((SCHEMAS / f"{name}.json").read_text())).validate(document)


def test_up_serves_what_was_trained_and_shows_every_server_and_down_leaves_nothing(presage):
    first = presage("up", "--detach", "--source", SOURCE)
    servers = presage("predict", "--list-servers").stdout.split()
    assert len(servers) == SERVERS
    assert "training on" not in first.stderr
    assert all(server in first.stdout for server in servers)
    assert "presage://incident:local is presage://incident:1@sha256:" in first.stderr
    assert f"--source={SOURCE} (the manifest says --source=simulated)" in first.stderr

    status = presage.json("status")
    holds_to_schema(status, "status")
    assert all(process["ready"] for process in status["processes"])
    holds_to_schema(presage.json("predict"), "predict")
    assert "RISK" in presage("watch").stdout

    # The server killed: it comes back by itself and answers again, the rest runs on.
    record = read_record(presage.state.plane)
    os.kill(next(process.pid for process in record.processes if process.serves), signal.SIGKILL)
    until = time.monotonic() + 60
    while not any(process["restarts"] == 1 and process["ready"] for process in presage.json("status")["processes"]):
        assert time.monotonic() < until
    assert len(presage.json("predict")) == SERVERS

    assert "nothing is left running" in presage("down").stdout
    assert not psutil.pid_exists(record.supervisor)
    assert list(marked(presage.state.root)) == []

    # A trained model is serving within 20 s. In a terminal the table lives until Ctrl-C, which stops everything.
    began = time.monotonic()
    with terminal(presage, "up", "--source", SOURCE) as (screen, child):
        read_until(screen, "Ctrl-C stops everything")
        assert time.monotonic() - began < 20
        assert len(presage.json("predict")) == SERVERS
        os.write(screen, b"\x03")
        assert "nothing is left running" in read_until(screen, "nothing is left running")
        assert child.wait(60) == 0
    assert list(marked(presage.state.root)) == []


@contextmanager
def terminal(presage, *words):
    """The command in a terminal of its own: the screen's descriptor, and the process."""
    screen, inside = pty.openpty()
    termios.tcsetwinsize(inside, (40, 160))
    command = [sys.executable, "-m", "presage.cli", "--state", str(presage.state.root), *words]
    child = subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, start_new_session=True, preexec_fn=lambda: own_terminal(inside),  # noqa: PLW1509
    )
    os.close(inside)
    try:
        yield screen, child
    finally:
        child.kill()
        child.wait()
        os.close(screen)


def own_terminal(descriptor):
    """So that Ctrl-C on the screen reaches the command as SIGINT."""
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


def read_until(screen, text, seconds=60.0):
    """What the screen showed, up to and with `text`."""
    shown, until = "", time.monotonic() + seconds
    while text not in shown:
        assert time.monotonic() < until, shown[-2000:]
        if select.select([screen], [], [], 0.2)[0]:
            shown += os.read(screen, 65536).decode(errors="replace")
    return shown
