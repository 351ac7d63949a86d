"""The main job from end to end, as a person types it: up, watch, status, predict, down."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema_rs
import psutil
import pytest

from presage.local.children import marked
from presage.local.record import read_record
from presage.state import State

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
# The smallest fleet whose history still holds an incident for each part of the split.
FLEET = "simulated:servers=6,days=6,incidents=4"


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
def presage(tmp_path):
    made = Presage(tmp_path / "state")
    yield made
    made("down")


def holds_to_schema(document: object, name: str) -> None:
    jsonschema_rs.validator_for(json.loads((SCHEMAS / f"{name}.json").read_text())).validate(document)


def test_up_trains_serves_and_shows_every_server_and_down_leaves_nothing(presage):
    first = presage("up", "--detach", "--source", FLEET)
    servers = presage("predict", "--list-servers").stdout.split()
    assert len(servers) == 6
    assert all(server in first.stdout for server in servers)
    assert "presage://incident:local is presage://incident:1@sha256:" in first.stderr
    assert f"--source={FLEET} (the manifest says --source=simulated)" in first.stderr

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
    assert len(presage.json("predict")) == 6

    assert "nothing is left running" in presage("down").stdout
    assert not psutil.pid_exists(record.supervisor)
    assert list(marked(presage.state.root)) == []

    # The second time nothing is trained: serving within 20 s.
    began = time.monotonic()
    again = presage("up", "--detach", "--source", FLEET)
    assert time.monotonic() - began < 20
    assert "training on" not in again.stderr
    assert len(presage.json("predict")) == 6
