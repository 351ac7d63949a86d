"""Every process of the plane is killed under load, round after round: it heals, and nothing that was answered is lost."""

import http.client
import json
import os
import signal
import socket
import ssl
import threading
import time
from collections import defaultdict
from statistics import median

import polars as pl
import psutil
import pytest
from builders.mesh_plane import PREDICT, RunningPlane
from builders.runs import SOURCE

from presage.local import down, up
from presage.local.children import marked

ROUNDS = 5
METHOD, PATH, BODY = PREDICT


class Asking:
    """Asks without pause and keeps the id of every prediction that it was answered."""

    def __init__(self, plane: RunningPlane) -> None:
        self.answered: list[str] = []
        self._plane = plane
        self._end = threading.Event()
        self._certificate = plane.certificate("operators", ttl="3h")
        self._token = plane.token(seconds=7200)
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(2)]

    def __enter__(self) -> "Asking":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        connection = None
        while not self._end.is_set():
            try:
                connection = connection or self._plane.connection(self._certificate)
                connection.request(METHOD, PATH, BODY, {"content-type": "application/json", "authorization": f"Bearer {self._token}"})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status == 200:
                    self.answered += [found["prediction_id"] for found in json.loads(content)["predictions"]]
            except (OSError, ssl.SSLError, http.client.HTTPException):
                connection = None
                time.sleep(0.02)  # a door that is away is not knocked at without pause


@pytest.mark.slow
def test_each_process_killed_in_turn_under_load_heals_and_no_answer_is_lost(trained_state, tmp_path):
    healed: dict[str, list[float]] = defaultdict(list)
    with RunningPlane.start(trained_state.root, tmp_path) as plane:
        names = [process.name for process in plane.record.processes if not process.initializes]
        with Asking(plane) as load:
            for _ in range(ROUNDS):
                for name in names:
                    before = len(load.answered)
                    process = next(found for found in plane.record.processes if found.name == name)
                    began = time.monotonic()
                    os.kill(process.pid, signal.SIGKILL)
                    plane.eventually(lambda name=name, pid=process.pid: _is_back(plane, name, pid), 90)
                    plane.eventually(lambda before=before: len(load.answered) > before, 90)
                    healed[name].append(time.monotonic() - began)
                supervisor = plane.record.supervisor
                pids = {found.name: found.pid for found in plane.record.processes}
                began = time.monotonic()
                os.kill(supervisor, signal.SIGKILL)
                up(state=plane.state, manifests=plane.manifests, source=SOURCE)
                healed["the plane's own program"].append(time.monotonic() - began)
                assert {found.name: found.pid for found in plane.record.processes} == pids  # nothing was started anew
        ports = [(process.inner, port) for process in plane.record.processes for port in process.ports.values()]
        down(plane.state)
        assert list(marked(plane.state.root)) == []
        assert [where for where in ports if _listens(*where)] == []
        logged = pl.read_parquet(plane.state.plane / "volumes" / "prediction-log" / "decisions" / "**" / "*.parquet")
    lost = set(load.answered) - set(logged["prediction_id"])
    for name, times in healed.items():
        print(f"{name}: back after {median(times):.1f} s (worst {max(times):.1f} s)")
    print(f"{len(load.answered)} answered predictions, {len(lost)} lost")
    assert load.answered
    assert not lost


def _is_back(plane: RunningPlane, name: str, killed: int) -> bool:
    found = next((process for process in plane.record.processes if process.name == name), None)
    return found is not None and found.ready and found.pid != killed and psutil.pid_exists(found.pid)


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((address, port)) == 0
