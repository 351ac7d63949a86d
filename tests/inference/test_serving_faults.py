"""What a server keeps when it is killed, stopped, starved of disk or given a changed release."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import httpx2
import numpy as np
import polars as pl
import pytest
from builders.serving_load import ask_until

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER
from inference.journal.record import Decision
from inference.journal.segments import read_segment, segments
from inference.journal.ship import ship
from presage.package.keys import local_key


def journalled(folder):
    written = [record for _, path in segments(folder) for frame in read_segment(path)[1] for record in frame.records]
    return [record.prediction_id for record in written if isinstance(record, Decision)]


def logged(folder):
    return pl.read_parquet(folder / "decisions/**/*.parquet", hive_partitioning=False)["prediction_id"].to_list() if list(folder.rglob("*.parquet")) else []


@pytest.mark.long
def test_sigkill_under_load_loses_no_answered_prediction(serving_site, tmp_path):
    server = ServerProcess(serving_site, tmp_path, "--ship_seconds=3600")
    server.wait_ready()
    answered = asyncio.run(ask_until(server.address, 300, lambda _: server.process.kill()))
    assert server.wait() == -signal.SIGKILL
    assert len(answered) >= 300
    # the orphaned shipper empties the journal when its pipe closes; taking its lock waits for it
    subprocess.run([sys.executable, "-m", "inference.journal.ship", server.journal, server.prediction_log], check=True, capture_output=True)
    in_log = logged(server.prediction_log)
    assert set(answered) <= set(in_log) and len(in_log) == len(set(in_log))
    with ServerProcess(serving_site, tmp_path) as again:  # and the next process carries on in the same journal
        assert httpx2.post(again.address + "/predict", json={"servers": [NEWCOMER]}).status_code == 200
    assert again.process.returncode == 0 and len(logged(again.prediction_log)) == len(in_log) + 1


def test_sigterm_under_load_answers_ships_everything_and_ends_with_zero(serving_site, tmp_path):
    server = ServerProcess(serving_site, tmp_path, "--ship_seconds=3600")
    server.wait_ready()
    refused: list[int] = []
    answered = asyncio.run(ask_until(server.address, 200, lambda _: server.process.terminate(), refused))
    assert server.wait() == 0 and refused == []  # what was read is answered, though the server calls itself not ready
    in_log = logged(server.prediction_log)
    assert len(answered) >= 200 and set(answered) <= set(in_log) and len(in_log) == len(set(in_log))
    assert any('"lag": 0' in line and '"stopped"' in line for line in server.log)


def test_a_full_disk_gives_503_and_no_unrecorded_answer(serving_site, tmp_path):
    with ServerProcess(serving_site, tmp_path, "--ship_seconds=3600") as server, httpx2.Client(base_url=server.address) as client:

        def ask():
            return client.post("/predict", json={"servers": [NEWCOMER]})

        first = ask()
        [(_, segment)] = segments(server.journal)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (segment.stat().st_size + 40, resource.RLIM_INFINITY))
        refused = [ask() for _ in range(5)]
        assert {response.status_code for response in refused} == {503} and "cannot be recorded" in refused[0].json()["error"]
        assert client.get("/v2/health/live").status_code == 200
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        last = ask()
        answered = [response.json()["predictions"][0]["prediction_id"] for response in (first, last)]
        assert journalled(server.journal) == answered
    assert logged(server.prediction_log) == answered


def test_a_dead_shipper_is_started_again(serving_site, tmp_path):
    with ServerProcess(serving_site, tmp_path, "--ship_seconds=0.1") as server:
        children = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True).stdout.split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        assert httpx2.post(server.address + "/predict", json={"servers": [NEWCOMER]}).status_code == 200
    assert server.process.returncode == 0 and len(logged(server.prediction_log)) == 1
    ship(server.journal, server.prediction_log)
    assert len(logged(server.prediction_log)) == 1


@pytest.fixture
def changeable(serving_site, tmp_path):
    """A copy of what lies in the Pod, to be tampered with."""
    shutil.copytree(serving_site.model_dir, tmp_path / "models")
    return replace(serving_site, model_dir=tmp_path / "models")


@pytest.mark.parametrize("name", ["model.onnx", "trees.safetensors"])
def test_a_changed_byte_is_refused_at_start(changeable, tmp_path, name):
    path = next(path for path in changeable.model_dir.rglob(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    refused_at_start(ServerProcess(changeable, tmp_path))


def test_a_foreign_file_a_missing_one_and_a_foreign_key_are_refused_at_start(changeable, tmp_path):
    (changeable.model_dir / "evil.pkl").write_bytes(b"\x80\x04N.")
    refused_at_start(ServerProcess(changeable, tmp_path))
    (changeable.model_dir / "evil.pkl").unlink()
    local_key(tmp_path / "others")
    refused_at_start(ServerProcess(replace(changeable, trust_keys=tmp_path / "others"), tmp_path))
    (changeable.model_dir / "release.dsse.json").unlink()
    refused_at_start(ServerProcess(changeable, tmp_path))
    refused_at_start(ServerProcess(replace(changeable, model_dir=tmp_path / "nothing"), tmp_path))


def refused_at_start(server):
    assert server.wait() == 1
    assert len(server.log) == 1 and server.log[0].startswith("refused ("), server.log


@pytest.mark.long
def test_rows_in_the_journal_hold_no_input_value(serving_site, tmp_path):
    with ServerProcess(serving_site, tmp_path, "--ship_seconds=3600") as server:
        row = np.nan_to_num(serving_site.x[0])
        tensor = {"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": row.tolist()}
        httpx2.post(server.address + "/v2/models/incident/infer", json={"id": "mine", "inputs": [tensor], "outputs": [{"name": "reasons"}]})
        [(_, path)] = segments(server.journal)
        [frame] = read_segment(path)[1]
        [record] = frame.records
    assert record.caller_id == "mine" and record.rung == "primary" and record.server is None and record.score is not None
    assert len(record.reasons) == 3 and all(len(reason) == 2 for reason in record.reasons)
