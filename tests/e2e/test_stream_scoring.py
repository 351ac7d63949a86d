"""Telemetry to predictions without a request: the stream and its consumer, as processes, over a release that the pipeline made."""

import os
import subprocess
import sys
import time
from contextlib import closing

import msgspec
import pytest

from inference.stream.topics import RowEvent, ScoredEvent
from presage.events.log import open_event_log
from presage.package.gate import admit
from presage.package.keys import Trust
from presage.package.store import ReleaseStore


@pytest.fixture
def started():
    """Start a module as a process; each ends with the test, and well."""
    processes = []

    def start(module, *options):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        processes.append(subprocess.Popen([sys.executable, "-m", module, *options], stderr=subprocess.DEVNULL, env=environment))

    yield start
    for process in reversed(processes):
        process.terminate()
    assert [process.wait(60) for process in processes] == [0] * len(processes)


def events(folder, topic, kind):
    with closing(open_event_log(str(folder / "events"), topic)) as log:
        return [msgspec.msgpack.decode(event.value, type=kind) for part in range(log.partitions) for event in log.read(part, 0, limit=100_000)]


def test_every_row_of_the_stream_is_predicted_by_the_primary(trained_state, started, tmp_path):
    admit("presage://incident:local", tmp_path / "models", ReleaseStore(trained_state.releases), Trust.open(trained_state.keys), allow_local=True)
    started("inference.stream", "--source=simulated:servers=3,seed=7", "--speed=300", f"--online_store=sqlite:{tmp_path / 'online.db'}",
            f"--event_log={tmp_path / 'events'}", "--feature_topic=features", "--http_port=0")  # fmt: skip
    started("inference.stream.score", f"--model_dir={tmp_path / 'models'}", f"--trust_keys={trained_state.keys}", f"--event_log={tmp_path / 'events'}",
            f"--journal_dir={tmp_path / 'journal'}", f"--prediction_log={tmp_path / 'log'}", "--http_port=0", "--ship_seconds=1")  # fmt: skip
    until = time.monotonic() + 120
    while len(scored := events(tmp_path, "scored", ScoredEvent)) < 12:
        assert time.monotonic() < until, "nothing is predicted"
        time.sleep(0.2)
    told = {(event.entity, event.time) for event in events(tmp_path, "features", RowEvent)}
    rows = [(one.prediction.entity, one.prediction.time) for one in scored]
    assert len(rows) == len(set(rows)) and set(rows) <= told
    assert {one.prediction.rung for one in scored} == {"primary"} and len({entity for entity, _ in rows}) == 3
