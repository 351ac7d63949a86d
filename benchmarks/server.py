"""The serving program against KServe's ModelServer and a bare ASGI app, all on the same ONNX file.

    python benchmarks/server.py [--rounds 5] [--seconds 1.5] [--json FILE]

150 trees of 31 leaves; one FP32 row a request as JSON of the Open Inference Protocol, 256 rows in rotation. Ours has everything on: contract, guard,
interval, tier, journal, shipper, metrics; once for rows in the request (`ours`, the same bytes as the peers get), once for
server names whose features are looked up (`ours, features`). Servers have one core, the load the other; they are measured
in turn, round by round, and every sampled answer is compared with the model's own. Medians over rounds; trust ratios.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import Site, build_site
from presage.features.store import OnlineRow, open_online_store

ROWS = 256
TARGET = 4.0
PATH = "/v2/models/incident/infer"
PEERS = Path(__file__).parent / "peers"
_PEERS = ("KServe", "bare ASGI")


@dataclass
class Contender:
    """bodies, expected: what is sent and what must come back, row by row; pid: whose CPU time is read; rates, p50, p99 (ms),
    cpu (µs of the server's core a request): connections → a number a round."""

    name: str
    address: str
    pid: int
    bodies: list[str]
    expected: list[float]
    rates: dict[int, list[float]] = field(default_factory=dict)
    p50: dict[int, list[float]] = field(default_factory=dict)
    p99: dict[int, list[float]] = field(default_factory=dict)
    cpu: dict[int, list[float]] = field(default_factory=dict)

    def measure(self, connections: int, seconds: float, core: int) -> None:
        """One turn. Raises SystemExit on any answer that is not 2xx or not the model's."""
        plan = {"address": self.address, "path": PATH, "bodies": self.bodies, "connections": connections, "seconds": seconds, "warm_seconds": 0.3, "core": core}
        server = psutil.Process(self.pid)
        before = sum(server.cpu_times()[:2])
        load = [sys.executable, str(Path(__file__).parent / "http_load.py")]
        done = subprocess.run(load, input=json.dumps(plan), stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout)
        busy = sum(server.cpu_times()[:2]) - before
        if result["not_2xx"] or not result["samples"]:
            sys.exit(f"{self.name} at c={connections}: {result['not_2xx']} answers were not 2xx, {len(result['samples'])} were sampled.")
        for index, answer in result["samples"]:
            [value] = json.loads(answer)["outputs"][0]["data"]
            if abs(value - self.expected[index]) > 1e-6:
                sys.exit(f"{self.name} answered {value} for row {index}, the model says {self.expected[index]}.")
        self.rates.setdefault(connections, []).append(result["requests"] / result["seconds"])
        self.cpu.setdefault(connections, []).append(1e6 * busy / result["answered"])
        for name in ("p50", "p99"):
            getattr(self, name).setdefault(connections, []).append(result["latency_ms"][name])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/server.json"))
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("This benchmark needs two cores: one for the server, one for the load.")
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        site = build_site(Path(folder), metrics=5, trees=150, leaves=31, servers=8, days=3, detectors=False)
        contenders, processes = start(site, Path(folder), ("taskset", "-c", str(cores[0])))
        try:
            for number in range(options.rounds):
                for connections in options.connections:
                    for contender in contenders:
                        contender.measure(connections, options.seconds, cores[1])
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        finally:
            for process in processes:
                process.stop() if isinstance(process, ServerProcess) else process.terminate()
        lag = [process.process.returncode for process in processes if isinstance(process, ServerProcess)]
        if lag != [0]:
            sys.exit("Our server did not stop cleanly.")
    return report(contenders, options)


def start(site: Site, folder: Path, pinned: tuple[str, ...]) -> tuple[list[Contender], list[Any]]:
    """All servers at once: the ones that are not asked sleep."""
    import onnxruntime

    rows = np.round(site.x[~np.isnan(site.x).any(axis=1)][:: max(1, len(site.x) // 400)][:ROWS], 4).astype(np.float32)
    if len(rows) < ROWS:
        sys.exit(f"Only {len(rows)} whole rows; {ROWS} are due.")
    names = write_servers(site, rows)
    (folder / "model.onnx").write_bytes(site.onnx)
    scores = onnxruntime.InferenceSession(site.onnx, providers=["CPUExecutionProvider"]).run(["score"], {"x": rows})[0]
    risks = site.calibration.apply(scores)[0].tolist()
    texts = [json.dumps([round(value, 4) for value in row.tolist()]) for row in rows]
    given = [f'{{"inputs":[{{"name":"x","shape":[1,{rows.shape[1]}],"datatype":"FP32","data":{text}}}]}}' for text in texts]
    named = [f'{{"inputs":[{{"name":"server","shape":[1],"datatype":"BYTES","data":["{name}"]}}]}}' for name in names]
    ours = ServerProcess(site, folder / "ours", prefix=pinned)
    peers = {name: free_port() for name in ("kserve_model", "bare_asgi")}
    processes: list[Any] = [ours]
    for name, port in peers.items():
        command = [*pinned, sys.executable, str(PEERS / f"{name}.py"), str(folder / "model.onnx"), str(port)]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    ours.wait_ready()
    for process, port in zip(processes[1:], peers.values(), strict=True):
        wait_for(process, port)
    address = ours.address.removeprefix("http://")
    return [
        Contender("KServe", f"127.0.0.1:{peers['kserve_model']}", processes[1].pid, given, scores.tolist()),
        Contender("bare ASGI", f"127.0.0.1:{peers['bare_asgi']}", processes[2].pid, given, scores.tolist()),
        Contender("ours", address, ours.process.pid, given, risks),
        Contender("ours, features", address, ours.process.pid, named, risks),
    ], processes


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(process: "subprocess.Popen[bytes]", port: int, seconds: float = 60) -> None:
    """Until the peer that we started listens; a peer that ended (its port was somebody else's) is an error."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"The peer on port {port} ended with {process.returncode}.")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"The peer on port {port} did not listen within {seconds:g} s.")


def report(contenders: list[Contender], options: argparse.Namespace) -> int:
    """Print the table and the ratio, write the JSON. Exit code 1 where the target is missed."""
    versions = {name: version(name) for name in ("onnxruntime", "uvicorn", "uvloop", "httptools", "kserve", "presage")}
    print("  ".join(f"{name} {number}" for name, number in versions.items()))
    print(f"{'':16}" + "".join(f"{f'c={connections}: req/s (spread), p50, p99 ms, CPU µs':>52}" for connections in options.connections))
    rows = {}
    for contender in contenders:
        cells = []
        rows[contender.name] = {}
        for connections in options.connections:
            rates = contender.rates[connections]
            parts = (rates, contender.p50[connections], contender.p99[connections], contender.cpu[connections])
            median, p50, p99, cpu = (statistics.median(part) for part in parts)
            rows[contender.name][connections] = {"requests_per_second": median, "rounds": rates, "p50_ms": p50, "p99_ms": p99, "cpu_us": cpu}
            cells.append(f"{median:.0f} ({min(rates):.0f}–{max(rates):.0f}) {p50:.2f} {p99:.2f} {cpu:.0f}".rjust(52))
        print(f"{contender.name:16}" + "".join(cells))

    def ratio(name: str, connections: int, peer: str = "KServe") -> float:
        return float(rows[name][connections]["requests_per_second"] / rows[peer][connections]["requests_per_second"])

    for connections in options.connections:
        told = [f"{peer}: rows {ratio('ours', connections, peer):.2f} x, features {ratio('ours, features', connections, peer):.2f} x" for peer in _PEERS]
        print(f"c={connections}, to {'; to '.join(told)}")
    ratios = {c: {name: ratio(name, c) for name in ("ours", "ours, features")} for c in options.connections}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"versions": versions, "load": "benchmarks/http_load.py", "results": rows, "ratios_to_kserve": ratios}, indent=2) + "\n")
    if 16 not in options.connections:
        return 0
    cpu = rows["KServe"][16]["cpu_us"]
    told = ", ".join(f"{name} {cpu / rows[name][16]['cpu_us']:.1f} x" for name in ("ours", "ours, features"))
    print(f"CPU a request, KServe to {told} at c=16 (steady where a noisy machine's rates are not)")
    print(f"ratio to KServe at c=16: {ratios[16]['ours']:.1f} x (the same bytes sent to both; target {TARGET:g} x)")
    return 0 if ratios[16]["ours"] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
