"""What happens past the knee: requests arrive at a fixed rate, answered or not.

    python benchmarks/overload.py [--seconds 3] [--peers KServe …] [--json FILE]

The same servers, model and rows as benchmarks/server.py. For each server: its knee (the highest of rising rates at which at least 99 % of what
was offered is answered and the p99 stays below 50 ms), then p50 and p99 at a tenth and at 70 % of its knee, and what it does at 1.5 and 2.5
times its knee. Of ours it is asked that past the knee nothing fails but by 503 or 429, and that what is admitted has a p99 of at most three
times its p99 at 70 % of the knee. Latencies count from the moment a request was due; the generator has the other core, and says how
many requests it had to send late.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peer_servers import available
from benchmarks.server import OURS, PATH, Contender, check_answer, contenders_of

CONNECTIONS = 256
STEP = 1.25
SLOWEST = 50.0  # ms


def offer(contender: Contender, rate: float, seconds: float, core: int) -> dict[str, Any]:
    """One run. Raises SystemExit on an answer that is not the model's."""
    plan = {
        "address": contender.address, "path": PATH, "bodies": contender.bodies, "rate": rate, "connections": CONNECTIONS, "seconds": seconds,
        "warm_seconds": 0.5, "core": core,
    }  # fmt: skip
    load = [sys.executable, str(Path(__file__).parent / "open_load.py")]
    result: dict[str, Any] = json.loads(subprocess.run(load, input=json.dumps(plan), stdout=subprocess.PIPE, text=True, check=True).stdout)
    for index, answer in result.pop("samples"):
        check_answer(contender.name, answer, contender.expected[index])
    return {"rate": rate, **result}


def knee(contender: Contender, seconds: float, core: int) -> float:
    """The highest rate that it keeps up with, starting from a tenth of what a first guess says."""
    rate, kept = 200.0, 0.0
    while True:
        seen = offer(contender, rate, seconds, core)
        fine = seen["latency_ms"]["ok"]
        answered = sum(count for status, count in seen["statuses"].items() if status[0] == "2")
        if fine is None or answered < 0.99 * seen["offered"] or fine["p99"] > SLOWEST or seen["lost"]:
            again = offer(contender, rate, seconds, core)  # a stall of the machine is no knee
            fine = again["latency_ms"]["ok"]
            answered = sum(count for status, count in again["statuses"].items() if status[0] == "2")
            if fine is None or answered < 0.99 * again["offered"] or fine["p99"] > SLOWEST or again["lost"]:
                return kept
        kept = rate
        rate *= 2 if rate < 800 else STEP


def told(seen: dict[str, Any]) -> str:
    fine = seen["latency_ms"]["ok"] or {"p50": float("nan"), "p99": float("nan")}
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(seen["statuses"].items()))
    return f"{seen['rate']:7.0f}/s  p50 {fine['p50']:8.2f}  p99 {fine['p99']:8.2f} ms  {statuses}  lost {seen['lost']}, unanswered {seen['unsent']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--peers", nargs="*", default=available())
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/overload.json"))
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("This benchmark needs two cores: one for the server, one for the load.")
    os.environ["OMP_NUM_THREADS"] = "1"
    results: dict[str, Any] = {}
    missed = []
    with tempfile.TemporaryDirectory() as folder, contenders_of(Path(folder), ("taskset", "-c", str(cores[0])), options.peers) as contenders:
        for contender in contenders:
            kept = knee(contender, options.seconds / 2, cores[1])
            print(f"{contender.name}: keeps up with {kept:.0f}/s")
            if not kept:
                sys.exit(f"{contender.name} does not keep up with 200 requests a second here: the machine is too busy to measure.")
            results[contender.name] = {"knee": kept}
            for share in (0.1, 0.7, 1.5, 2.5):
                seen = results[contender.name][str(share)] = offer(contender, share * kept, options.seconds, cores[1])
                print(f"  {share:4} of it: {told(seen)}")
            if contender.name in OURS:
                missed += [f"{contender.name}: {why}" for why in judged(results[contender.name])]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=2) + "\n")
    if "KServe" in results:
        for name in OURS:
            at, peer = results[name]["0.7"]["latency_ms"]["ok"], results["KServe"]["0.7"]["latency_ms"]["ok"]
            knees = results[name]["knee"] / results["KServe"]["knee"]
            print(f"{name} to KServe: knee {knees:.1f} x, p99 at 70 % of each one's knee {at['p99'] / peer['p99']:.2f} x")
    for why in missed:
        print(f"MISSED: {why}")
    return 1 if missed else 0


def judged(runs: dict[str, Any]) -> list[str]:
    """What is wrong past the knee."""
    usual = runs["0.7"]["latency_ms"]["ok"]["p99"]
    wrong = []
    for share in ("1.5", "2.5"):
        seen = runs[share]
        other = {status for status in seen["statuses"] if status[0] != "2"} - {"429", "503"}
        if other or seen["lost"]:
            wrong.append(f"at {share} times its knee {sorted(other)} were answered and {seen['lost']} connections lost")
        if seen["latency_ms"]["ok"] is None or seen["latency_ms"]["ok"]["p99"] > 3 * usual:
            wrong.append(f"at {share} times its knee what was admitted has a p99 of {(seen['latency_ms']['ok'] or {}).get('p99')} ms, {usual:.2f} is usual")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
