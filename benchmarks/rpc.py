"""The gRPC door against KServe's gRPC server, both around the same ONNX file.

    python benchmarks/rpc.py [--rounds 5] [--seconds 1.5] [--json FILE]

150 trees of 31 leaves; one FP32 row a call as raw contents of a ModelInferRequest, 256 rows in rotation. Ours has everything on: contract, guard, interval,
tier, journal, shipper, metrics; once for rows in the request (`ours`, the same bytes as KServe gets), once for server names whose features are looked up
(`ours, features`). Servers have one core, the load the other; they are measured in turn, round by round, and every sampled answer is compared with the
model's own. Medians over rounds; trust ratios. c = calls open at once: a connection with one call, else a connection for every four.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peer_servers import PEERS, free_port, wait_for
from benchmarks.server import ROWS, write_servers
from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import Site, build_site
from inference.server.rpc.protocol import MESSAGES

TARGET, AT = 1.7, 64
METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass
class Contender:
    """messages, expected: what is sent and what must come back, row by row; output: which one of the answer's; pid: whose CPU time is read;
    rates, p50, p99 (ms), cpu (µs of the server's core a call): calls at once → a number a round."""

    name: str
    address: str
    pid: int
    messages: list[str]
    expected: list[float]
    output: str
    rates: dict[int, list[float]] = field(default_factory=dict)
    p50: dict[int, list[float]] = field(default_factory=dict)
    p99: dict[int, list[float]] = field(default_factory=dict)
    cpu: dict[int, list[float]] = field(default_factory=dict)

    def measure(self, calls: int, seconds: float, core: int) -> None:
        """One turn. Raises SystemExit on any answer that is not OK or not the model's."""
        streams = min(calls, 4)
        plan = {
            "address": self.address, "method": METHOD, "messages": self.messages, "connections": calls // streams, "streams": streams, "seconds": seconds,
            "warm_seconds": 0.3, "core": core,
        }  # fmt: skip
        server = psutil.Process(self.pid)
        before = sum(server.cpu_times()[:2])
        load = [sys.executable, str(Path(__file__).parent / "rpc_load.py")]
        result = json.loads(subprocess.run(load, input=json.dumps(plan), stdout=subprocess.PIPE, text=True, check=True).stdout)
        busy = sum(server.cpu_times()[:2]) - before
        if result["refused"] or not result["samples"]:
            sys.exit(f"{self.name} at c={calls}: {result['refused']} answers were not OK, {len(result['samples'])} were sampled.")
        for index, answer in result["samples"]:
            value = self._value(bytes.fromhex(answer))
            if abs(value - self.expected[index]) > 1e-6:
                sys.exit(f"{self.name} answered {value} for row {index}, the model says {self.expected[index]}.")
        self.rates.setdefault(calls, []).append(result["requests"] / result["seconds"])
        self.cpu.setdefault(calls, []).append(1e6 * busy / result["answered"])
        for name in ("p50", "p99"):
            getattr(self, name).setdefault(calls, []).append(result["latency_ms"][name])

    def _value(self, content: bytes) -> float:
        answer = MESSAGES["ModelInferResponse"].FromString(content)
        [place] = [place for place, output in enumerate(answer.outputs) if output.name == self.output]
        if answer.raw_output_contents:
            return float(np.frombuffer(answer.raw_output_contents[place], "<f4")[0])
        return float(answer.outputs[place].contents.fp32_contents[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 16, AT])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/rpc.json"))
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("This benchmark needs two cores: one for the server, one for the load.")
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        site = build_site(Path(folder), metrics=5, trees=150, leaves=31, servers=8, days=3, detectors=False)
        contenders, ours, peer = start(site, Path(folder), ("taskset", "-c", str(cores[0])))
        try:
            for number in range(options.rounds):
                for calls in options.calls:
                    for contender in contenders:
                        contender.measure(calls, options.seconds, cores[1])
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            memory = psutil.Process(ours.process.pid).memory_info().rss / 2**20
        finally:
            code = ours.stop()
            peer.terminate()
            peer.wait()
        if code:
            sys.exit(f"Our server did not stop cleanly ({code}).")
    return report(contenders, memory, options)


def start(site: Site, folder: Path, pinned: tuple[str, ...]) -> tuple[list[Contender], ServerProcess, "subprocess.Popen[bytes]"]:
    """Both servers at once: the one that is not asked sleeps."""
    import onnxruntime

    rows = site.x[~np.isnan(site.x).any(axis=1)][:: max(1, len(site.x) // 400)][:ROWS]
    if len(rows) < ROWS:
        sys.exit(f"Only {len(rows)} whole rows; {ROWS} are due.")
    names = write_servers(site, rows)
    (folder / "model.onnx").write_bytes(site.onnx)
    scores = onnxruntime.InferenceSession(site.onnx, providers=["CPUExecutionProvider"]).run(["score"], {"x": rows})[0]
    risks = site.calibration.apply(scores)[0].tolist()
    http, rpc = free_port(), free_port()
    command = [*pinned, sys.executable, str(PEERS / "kserve_rpc.py"), str(folder / "model.onnx"), str(http), str(rpc)]
    peer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ours = ServerProcess(site, folder / "ours", "--grpc_port=0", prefix=pinned)
    ours.wait_ready()
    wait_for(peer, rpc)
    wait_for(peer, http)
    given = [request("x", "FP32", [1, rows.shape[1]], row.astype("<f4").tobytes()) for row in rows]
    named = [request("server", "BYTES", [1], len(name).to_bytes(4, "little") + name.encode()) for name in names]
    return [
        Contender("KServe", f"127.0.0.1:{rpc}", peer.pid, given, scores.tolist(), "score"),
        Contender("ours", ours.rpc_address, ours.process.pid, given, risks, "risk"),
        Contender("ours, features", ours.rpc_address, ours.process.pid, named, risks, "risk"),
    ], ours, peer


def request(name: str, datatype: str, shape: list[int], content: bytes) -> str:
    """A ModelInferRequest in hex."""
    message = MESSAGES["ModelInferRequest"](model_name="incident", raw_input_contents=[content])
    message.inputs.add(name=name, datatype=datatype, shape=shape)
    text: str = message.SerializeToString().hex()
    return text


def report(contenders: list[Contender], memory: float, options: argparse.Namespace) -> int:
    """Print the table and the ratio, write the JSON. Exit code 1 where the target is missed."""
    versions: dict[str, Any] = {name: version(name) for name in ("onnxruntime", "grpcio", "protobuf", "kserve", "presage")}
    print("  ".join(f"{name} {number}" for name, number in versions.items()))
    print(f"{'':16}" + "".join(f"{f'c={calls}: calls/s (spread), p50, p99 ms, CPU µs':>52}" for calls in options.calls))
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    for contender in contenders:
        cells = []
        rows[contender.name] = {}
        for calls in options.calls:
            rates = contender.rates[calls]
            median, p50, p99, cpu = (statistics.median(part) for part in (rates, contender.p50[calls], contender.p99[calls], contender.cpu[calls]))
            rows[contender.name][calls] = {"calls_per_second": median, "rounds": rates, "p50_ms": p50, "p99_ms": p99, "cpu_us": cpu}
            cells.append(f"{median:.0f} ({min(rates):.0f}–{max(rates):.0f}) {p50:.2f} {p99:.2f} {cpu:.0f}".rjust(52))
        print(f"{contender.name:16}" + "".join(cells))
    ratios = {
        calls: {name: rows[name][calls]["calls_per_second"] / rows["KServe"][calls]["calls_per_second"] for name in ("ours", "ours, features")}
        for calls in options.calls
    }
    for calls, found in ratios.items():
        print(f"c={calls}, to KServe: rows {found['ours']:.2f} x, features {found['ours, features']:.2f} x")
    print(f"memory of our server after the load: {memory:.0f} MiB")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    result = {"versions": versions, "load": "benchmarks/rpc_load.py", "results": rows, "ratios_to_kserve": ratios, "memory_mib": memory}
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    if AT not in ratios:
        return 0
    print(f"ratio to KServe at c={AT}: {ratios[AT]['ours']:.2f} x (the same bytes sent to both; target {TARGET:g} x)")
    return 0 if ratios[AT]["ours"] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
