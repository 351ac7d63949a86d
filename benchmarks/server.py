"""The serving program against KServe's ModelServer, MLServer, Triton's python backend and a bare ASGI app, all on the same ONNX file.

    python benchmarks/server.py [--rounds 5] [--seconds 1.5] [--peers KServe …] [--json FILE]

150 trees of 31 leaves; one FP32 row a request as JSON of the Open Inference Protocol, 256 rows in rotation. Ours has everything on: contract, guard,
interval, tier, journal, shipper, metrics; once for rows in the request (`ours`, the same bytes as the peers get), once for server names whose
features are looked up (`ours, features`), and once behind uvicorn instead of the fast door (`ours, ASGI`). Servers have one core, the load the
other; they are measured in turn, round by round, and every sampled answer is compared with the model's own. Medians over rounds; trust ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peer_servers import available, peer
from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import Site, build_site
from presage.features.store import OnlineRow, open_online_store

ROWS = 256
TARGETS = {1: 2.8, 16: 10.0, 64: 10.0}
"""Requests a second, ours to KServe's, by connections; and a p99 of at most a fifth of KServe's from 16 connections on."""
PATH = "/v2/models/incident/infer"
OURS = ("ours", "ours, features", "ours, ASGI")


@dataclass
class Contender:
    """bodies, expected: what is sent and what must come back, row by row; pid: whose CPU time is read; rates, p50, p99 (ms),
    cpu (µs of the server's core a request): connections → a number a round."""

    name: str
    address: str
    pids: list[int]
    bodies: list[str]
    expected: list[float]
    tls: dict[str, str] | None = None
    rates: dict[int, list[float]] = field(default_factory=dict)
    p50: dict[int, list[float]] = field(default_factory=dict)
    p99: dict[int, list[float]] = field(default_factory=dict)
    cpu: dict[int, list[float]] = field(default_factory=dict)

    def measure(self, connections: int, seconds: float, core: int) -> None:
        """One turn. Raises SystemExit on any answer that is not 2xx or not the model's."""
        plan = {"address": self.address, "path": PATH, "bodies": self.bodies, "connections": connections, "seconds": seconds, "warm_seconds": 0.3, "core": core}
        if self.tls is not None:
            plan["tls"] = self.tls
        before = self._busy()
        load = [sys.executable, str(Path(__file__).parent / "http_load.py")]
        done = subprocess.run(load, input=json.dumps(plan), stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout)
        busy = self._busy() - before
        if result["not_2xx"] or not result["samples"]:
            sys.exit(f"{self.name} at c={connections}: {result['not_2xx']} answers were not 2xx, {len(result['samples'])} were sampled.")
        for index, answer in result["samples"]:
            check_answer(self.name, answer, self.expected[index])
        self.rates.setdefault(connections, []).append(result["requests"] / result["seconds"])
        self.cpu.setdefault(connections, []).append(1e6 * busy / result["answered"])
        for name in ("p50", "p99"):
            getattr(self, name).setdefault(connections, []).append(result["latency_ms"][name])

    def _busy(self) -> float:
        """Seconds of processor time that its processes have had."""
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in self.pids)


def check_answer(name: str, answer: str, expected: float) -> None:
    """Raises SystemExit where it is not the model's."""
    value = float(np.ravel(json.loads(answer)["outputs"][0]["data"])[0])
    if abs(value - expected) > 1e-6:
        sys.exit(f"{name} answered {value}, the model says {expected}.")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--peers", nargs="*", default=available(), help="default: all that can run here")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/server.json"))
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("This benchmark needs two cores: one for the server, one for the load.")
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder, contenders_of(Path(folder), ("taskset", "-c", str(cores[0])), options.peers) as contenders:
        for number in range(options.rounds):
            for connections in options.connections:
                for contender in contenders:
                    contender.measure(connections, options.seconds, cores[1])
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        memory = {contender.name: sum(psutil.Process(pid).memory_info().rss for pid in contender.pids) / 2**20 for contender in contenders}
    return report(contenders, memory, options)


@contextmanager
def contenders_of(folder: Path, pinned: tuple[str, ...], peers: list[str]) -> Iterator[list[Contender]]:
    """All servers at once: the ones that are not asked sleep. Ours must stop cleanly, its journal shipped to the last record."""
    import onnxruntime

    site = build_site(folder, metrics=5, trees=150, leaves=31, servers=8, days=3, detectors=False)
    rows = np.round(site.x[~np.isnan(site.x).any(axis=1)][:: max(1, len(site.x) // 400)][:ROWS], 4).astype(np.float32)
    if len(rows) < ROWS:
        sys.exit(f"Only {len(rows)} whole rows; {ROWS} are due.")
    names = write_servers(site, rows)
    onnx = folder / "model.onnx"
    onnx.write_bytes(site.onnx)
    scores = onnxruntime.InferenceSession(site.onnx, providers=["CPUExecutionProvider"]).run(["score"], {"x": rows})[0]
    risks = site.calibration.apply(scores)[0].tolist()
    texts = [json.dumps([round(value, 4) for value in row.tolist()]) for row in rows]
    given = [f'{{"inputs":[{{"name":"x","shape":[1,{rows.shape[1]}],"datatype":"FP32","data":{text}}}]}}' for text in texts]
    named = [f'{{"inputs":[{{"name":"server","shape":[1],"datatype":"BYTES","data":["{name}"]}}]}}' for name in names]
    made: list[Contender] = []
    with ExitStack() as running:
        for name in peers:
            server = running.enter_context(peer(name, onnx, folder, rows.shape[1], pinned))
            made.append(Contender(name, server.address, server.pids, given, scores.tolist()))
        ours = {door: ServerProcess(site, folder / door, f"--door={door}", prefix=pinned) for door in ("fast", "asgi")}
        for door, process in ours.items():
            running.callback(_stopped, door, process)
            process.wait_ready()
        fast, asgi = ((process.address.removeprefix("http://"), [process.process.pid]) for process in ours.values())
        yield [
            *made,
            Contender("ours", *fast, given, risks),
            Contender("ours, features", *fast, named, risks),
            Contender("ours, ASGI", *asgi, given, risks),
        ]


def _stopped(door: str, process: ServerProcess) -> None:
    if process.stop() != 0:
        sys.exit(f"Our server behind the {door} door did not stop cleanly.")


def write_servers(site: Site, rows: Any) -> list[str]:
    """A server a row in the online store, so that looking one up gives the row that the peers are sent."""
    store = open_online_store(f"sqlite:{site.online_store}")
    view = site.contract.view
    coverage, history = np.ones(len(view.view.windows), np.float32), np.zeros((view.view.history, len(view.metrics)), np.float32)
    [known] = store.read("incident", [site.servers[0]])
    assert known is not None
    names = [f"server-{number:03d}" for number in range(len(rows))]
    store.write("incident", [OnlineRow(name, known.time, view.version, row, coverage, history) for name, row in zip(names, rows, strict=True)])
    store.close()
    return names


def table(contenders: list[Contender], every: list[int]) -> dict[str, dict[int, dict[str, Any]]]:
    """Print it; name → connections → medians over rounds."""
    print(f"{'':16}" + "".join(f"{f'c={connections}: req/s (spread), p50, p99 ms, CPU µs':>52}" for connections in every))
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    for contender in contenders:
        cells = []
        rows[contender.name] = {}
        for connections in every:
            rates = contender.rates[connections]
            parts = (rates, contender.p50[connections], contender.p99[connections], contender.cpu[connections])
            median, p50, p99, cpu = (statistics.median(part) for part in parts)
            rows[contender.name][connections] = {"requests_per_second": median, "rounds": rates, "p50_ms": p50, "p99_ms": p99, "cpu_us": cpu}
            cells.append(f"{median:.0f} ({min(rates):.0f}–{max(rates):.0f}) {p50:.2f} {p99:.2f} {cpu:.0f}".rjust(52))
        print(f"{contender.name:16}" + "".join(cells))
    return rows


def report(contenders: list[Contender], memory: dict[str, float], options: argparse.Namespace) -> int:
    """Print the table and the ratios, write the JSON. Exit code 1 where a target is missed."""
    versions = {name: version(name) for name in ("onnxruntime", "uvicorn", "uvloop", "httptools", "kserve", "presage")}
    print("  ".join(f"{name} {number}" for name, number in versions.items()))
    rows = table(contenders, options.connections)
    print("resident memory, MiB: " + ", ".join(f"{name} {size:.0f}" for name, size in memory.items()))

    def ratio(name: str, connections: int, peer: str, what: str = "requests_per_second") -> float:
        return float(rows[name][connections][what] / rows[peer][connections][what])

    ratios: dict[str, dict[int, dict[str, float]]] = {}
    for other in (contender.name for contender in contenders if contender.name not in OURS):
        ratios[other] = {c: {name: ratio(name, c, other) for name in OURS} for c in options.connections}
        for c, told in ratios[other].items():
            print(f"to {other} at c={c}: " + ", ".join(f"{name} {number:.2f} x" for name, number in told.items()))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    document = {"versions": versions, "load": "benchmarks/http_load.py", "results": rows, "memory_mib": memory, "ratios": ratios}
    options.json.write_text(json.dumps(document, indent=2) + "\n")
    missed = 0
    for c in (c for c in options.connections if "KServe" in ratios and c in TARGETS):
        rate, tail = ratios["KServe"][c]["ours, features"], ratio("ours, features", c, "KServe", "p99_ms")
        bound = 1.0 if c == 1 else 0.2
        fine = rate >= TARGETS[c] and tail <= bound
        missed += not fine
        print(f"c={c}, everything on: {rate:.1f} x KServe (target {TARGETS[c]:g}), p99 {tail:.2f} x (target {bound:g}): {'met' if fine else 'MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
