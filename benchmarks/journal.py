"""What each level of the journal costs: the same server with journal: process, disk and replicated, side by side.

    python benchmarks/journal.py [--rounds 5] [--seconds 1.5] [--json FILE]

One FP32 row a request as JSON of the Open Inference Protocol, 256 rows in rotation, everything on. Servers have one core; the load and the
replica, which is another machine's work, the other. They are measured in turn, round by round, every sampled answer is compared with the
model's own, and every record must be in the prediction log when they have stopped. Medians over rounds; trust the ratios to `process`.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.replica_process import Replica
from benchmarks.server import ROWS, Contender, table
from benchmarks.serving_levels import LEVELS, site_at
from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import build_site


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--folder", type=Path, help="where the journals lie: the disk that is measured (default: the system's folder for temporary files)")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/journal.json"))
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("This benchmark needs two cores: one for the server, one for the load.")
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, _levels(Path(folder), cores) as contenders:
        for number in range(options.rounds):
            for connections in options.connections:
                for contender in contenders:
                    contender.measure(connections, options.seconds, cores[1])
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return _report(contenders, options)


@contextmanager
def _levels(folder: Path, cores: list[int]) -> Iterator[list[Contender]]:
    import onnxruntime

    site = build_site(folder, metrics=5, trees=150, leaves=31, servers=8, days=3, detectors=False)
    rows = np.round(site.x[~np.isnan(site.x).any(axis=1)][:: max(1, len(site.x) // 400)][:ROWS], 4).astype(np.float32)
    scores = onnxruntime.InferenceSession(site.onnx, providers=["CPUExecutionProvider"]).run(["score"], {"x": rows})[0]
    risks = site.calibration.apply(scores)[0].tolist()
    texts = [json.dumps([round(value, 4) for value in row.tolist()]) for row in rows]
    bodies = [f'{{"inputs":[{{"name":"x","shape":[1,{rows.shape[1]}],"datatype":"FP32","data":{text}}}]}}' for text in texts]
    made: list[Contender] = []
    with ExitStack() as running:
        replica = running.enter_context(Replica(folder / "replica", prefix=("taskset", "-c", str(cores[1]))))
        for level in LEVELS:
            flags = (f"--journal_replica={replica.url}",) if level == "replicated" else ()
            server = ServerProcess(site_at(level, site, folder / f"site-{level}"), folder / level, *flags, prefix=("taskset", "-c", str(cores[0])))
            running.callback(_stopped, level, server)
            server.wait_ready()
            made.append(Contender(level, server.address.removeprefix("http://"), [server.process.pid], bodies, risks))
        yield made


def _stopped(level: str, server: ServerProcess) -> None:
    if server.stop() != 0:
        sys.exit(f"The server with journal: {level} did not stop cleanly, its journal shipped.")


def _report(contenders: list[Contender], options: argparse.Namespace) -> int:
    """Print the table and the ratios, write the JSON."""
    versions = {name: version(name) for name in ("onnxruntime", "uvloop", "presage")}
    print("  ".join(f"{name} {number}" for name, number in versions.items()))
    rows = table(contenders, options.connections)
    ratios: dict[str, dict[int, dict[str, float]]] = {}
    for level in LEVELS[1:]:
        ratios[level] = {}
        for c in options.connections:
            each = [one / base for one, base in zip(rows[level][c]["rounds"], rows["process"][c]["rounds"], strict=True)]
            slower = rows[level][c]["p50_ms"] / rows["process"][c]["p50_ms"]
            ratios[level][c] = {"requests": statistics.median(each), "least": min(each), "most": max(each), "p50": slower}
            print(f"{level} to process at c={c}: {statistics.median(each):.2f} x requests/s ({min(each):.2f}–{max(each):.2f}), p50 {slower:.1f} x")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    document = {"versions": versions, "load": "benchmarks/http_load.py", "results": rows, "ratios": ratios}
    options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
