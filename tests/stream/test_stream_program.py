"""The stream as a real process: started, asked, killed, stopped."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import msgspec
import polars as pl
import pytest
from builders.ports import free_port

from inference.stream.program import main
from presage.events.log import open_event_log
from presage.features.online import online_rows
from presage.features.store import OnlineRow, OnlineStore, open_online_store
from presage.features.windows import compute
from presage.telemetry.schema import Reading


class Program:
    """A stream process over the files in `folder`. address: of its health and metrics."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.url = folder, f"sqlite:{folder / 'online.db'}"
        arguments = [f"--online_store={self.url}", f"--event_log={folder / 'events'}", "--http_port=0", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inference.stream", *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert self.process.stderr is not None
        self.said = [self.process.stderr.readline()]
        found = re.search(r"http://\S+", self.said[0])
        self.address = found[0] if found else ""

    def listen(self, text: str) -> str:
        """Read what it says until a line holds `text`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(self.said)

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(self.address + path)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


@contextlib.contextmanager
def streaming(folder: Path, *options: str) -> Iterator[Program]:
    program = Program(folder, *options)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.wait()
        assert program.process.stderr is not None
        program.process.stderr.close()


SIMULATED = ("--source=simulated:servers=4,seed=3", "--speed=60")


def all_rows(store: OnlineStore) -> list[OnlineRow]:
    return [row for row in store.read("incident", store.entities("incident")) if row is not None]


def rows_of_the_log(folder: Path, store: OnlineStore, tick: float) -> dict[str, OnlineRow]:
    """What the batch engine makes of everything in the log, at one tick."""
    description = store.describe("incident")
    assert description is not None
    log = open_event_log(str(folder / "events"), "telemetry")
    readings = [msgspec.msgpack.decode(event.value, type=Reading) for part in range(log.partitions) for event in log.read(part, 0, limit=100_000)]
    metrics = description.bound.metrics
    rows = [(reading.entity, reading.time, *(reading.values.get(metric) for metric in metrics)) for reading in readings]
    schema = {"entity": pl.String, "time": pl.Datetime("us", "UTC"), **dict.fromkeys(metrics, pl.Float64)}
    at = datetime.fromtimestamp(tick, UTC)
    table = compute(description.bound, pl.DataFrame(rows, schema=schema, orient="row"), timedelta(minutes=1), (at, at))
    return {row.entity: row for row in online_rows(table, at)}


def assert_rows_equal_the_batch_engine(folder: Path) -> list[OnlineRow]:
    store = open_online_store(f"sqlite:{folder / 'online.db'}", read_only=True)
    rows = all_rows(store)
    expected = rows_of_the_log(folder, store, rows[0].time)
    assert {row.entity: row.time for row in rows} == dict.fromkeys(expected, rows[0].time)
    for row in rows:
        for part in ("values", "coverage", "history"):
            assert getattr(row, part).tobytes() == getattr(expected[row.entity], part).tobytes()
    return rows


def test_a_back_fill_gives_full_rows_at_once_and_a_signal_ends_it_in_order(tmp_path: Path) -> None:
    with streaming(tmp_path, *SIMULATED) as program:
        line = program.listen("first 4 rows written")
        assert float(line.split()[4]) < 10  # under 2 s on an idle machine
        assert program.get("/v2/health/live").json() == {"live": True}
        assert program.get("/v2/health/ready").json() == {"ready": True}
        metrics = program.get("/metrics").text
        assert re.search(r'presage_events_total\{source="simulated",outcome="applied"\} 1\d\d\d', metrics)
        assert 'presage_events_total{source="simulated",outcome="late"} 0.0' in metrics
        age = re.search(r'presage_feature_age_seconds\{view="server_windows"\} (\S+)', metrics)
        assert age is not None
        assert 0 <= float(age[1]) < 600
        assert all(f'presage_stage_seconds_count{{stage="{stage}"}}' in metrics for stage in ("append", "apply", "features", "write"))
        assert 'presage_build_info{program="stream",version="' in metrics
        assert program.stop() == 0
    rows = assert_rows_equal_the_batch_engine(tmp_path)
    assert all(row.coverage.min() > 0.9 for row in rows)


def test_its_metrics_have_a_port_of_their_own_that_serves_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    with streaming(tmp_path, *SIMULATED, f"--metrics_port={port}") as program:
        program.listen("first 4 rows written")
        here, there = httpx2.get(f"http://127.0.0.1:{port}/metrics"), program.get("/metrics")
        assert here.status_code == 200
        assert here.headers["content-type"] == there.headers["content-type"]
        assert 'presage_events_total{source="simulated",outcome="applied"}' in here.text
        assert httpx2.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 404
        assert program.stop() == 0


def test_a_killed_stream_goes_on_where_it_was(tmp_path: Path) -> None:
    with streaming(tmp_path, *SIMULATED) as program:
        program.listen("first 4 rows written")
        program.stop(signal.SIGKILL)
    store = open_online_store(f"sqlite:{tmp_path / 'online.db'}", read_only=True)
    before, clock = all_rows(store), store.describe("incident")
    with streaming(tmp_path, *SIMULATED) as program:
        assert "goes on" in program.said[0]
        replayed = re.search(r"(\d+) readings replayed", program.said[0])
        assert replayed is not None
        assert int(replayed[1]) > 1000
        assert program.get("/v2/health/ready").status_code == 200
        program.listen("first 4 rows written")
        assert 'outcome="late"} 0.0' in program.get("/metrics").text
        assert program.stop() == 0
    assert store.describe("incident") == clock
    after = assert_rows_equal_the_batch_engine(tmp_path)
    assert after[0].time > before[0].time


def test_another_source_starts_over(tmp_path: Path) -> None:
    with streaming(tmp_path, *SIMULATED) as program:
        program.listen("first 4 rows written")
        program.stop(signal.SIGKILL)
    with streaming(tmp_path, "--source=simulated:servers=2,seed=3", "--speed=60") as program:
        assert "starts" in program.said[0]
        program.listen("first 2 rows written")
    assert len(all_rows(open_online_store(f"sqlite:{tmp_path / 'online.db'}", read_only=True))) == 2


def test_this_machine_has_a_warming_row_within_seconds(tmp_path: Path) -> None:
    with streaming(tmp_path, "--source=host") as program:
        program.listen("first 1 rows written")
        [row] = all_rows(open_online_store(program.url, read_only=True))
        assert row.entity == socket.gethostname()
        assert abs(time.time() - row.time) < 600
        assert row.coverage.max() < 0.5
        assert program.stop(signal.SIGINT) == 0


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """The program narrows the umask of its process; here that is ours."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--source=csv:fleet.csv"], 2, "it does not go on"),
        (["--source=simulated", "--view=missing.yaml"], 1, "there is no feature view here"),
        (["--source=simulated", "--speed=fast"], 2, "invalid float value"),
        (["--source=simulated", "--colour=red"], 2, "Unrecognized arguments: --colour=red"),
        (["--source=simulated", "--http_port=70000"], 2, "70000 is no port"),
        (["--source=simulated", "--metrics_port=-1"], 2, "--metrics_port -1 is no port"),
        (["--source=host", "--http_port={taken}"], 2, "Free it, or choose another --http_port"),
        (["--source=host", "--metrics_port={taken}"], 2, "Free it, or choose another --metrics_port"),
    ],
)
def test_what_cannot_start_says_so_in_one_sentence(
    tmp_path: Path, options: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [f"--online_store=sqlite:{tmp_path / 'online.db'}", f"--event_log={tmp_path / 'events'}", "--http_port=0"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main([*files, *(option.format(taken=taken.getsockname()[1]) for option in options)]) == code
    text = capsys.readouterr().err
    assert sentence in text
    assert text.count("\n") == 1
    assert not (tmp_path / "online.db").exists()
