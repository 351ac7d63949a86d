"""What the prediction log costs: shipping, masking of free text, and deciding history again.

    python benchmarks/prediction_log.py [RECORDS]

Each line is a rate by processor time (so that a busy machine shows about the same) and its ratio to the plain shipping of the same records.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.serving_release import build_site
from inference.journal.record import Decision, Writer, names_of
from inference.journal.writer import Journal

NOON = 1_700_000_000.0
TEXTS = {
    "no text": "", "a UUID each": "{:08x}-7d0a-4d3e-8f57-0e0ad9a1c9f4",
    "one text with a pattern": "call 10.1.2.3", "a text each, with a pattern": "order {} for 10.1.2.3",
}  # fmt: skip
SHIP = """
import resource, sys, time
from pathlib import Path
from inference.journal.ship import open_masking, ship
import polars
before = time.process_time()
ship(Path(sys.argv[1]), Path(sys.argv[2]), open_masking())
print(time.process_time() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "site").mkdir()
        site = build_site(folder / "site")
        writer = Writer("incident", "1", "sha256:0", "eu", **names_of(site.contract))
        rows = [row.tobytes() for row in site.x[:1000]]
        plain = 0.0
        for name, text in TEXTS.items():
            journal = Journal.open(folder / name / "journal", writer)
            for start in range(0, count, 500):
                journal.append([decision(number, rows, text.format(number)) for number in range(start, start + 500)], lambda _: None)
            journal.close()
            command = [sys.executable, "-c", SHIP, str(folder / name / "journal"), str(folder / name / "log")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, peak = map(float, done.stdout.split())
            plain = plain or count / seconds
            print(f"ship, {name:<28} {count / seconds:9.0f} records a CPU s  {count / seconds / plain:5.2f}×  {peak:.0f} MiB")
        replayed(folder, plain)


def decision(number: int, rows: list[bytes], caller_id: str) -> Decision:
    return Decision(
        f"id-{number}-0", NOON + number / 100, "infer", "spiffe://cluster.local/ns/shop/sa/checkout", caller_id, {"domain": "network"}, "primary",
        "asked first", "primary", None, None, None, rows[number % len(rows)], 0.25, 0.3, 0.2, 0.4, "watch", False, 0, 1.0, [], [], "", "",
    )  # fmt: skip


def replayed(folder: Path, plain: float) -> None:
    """Over rows that callers gave, and without reasons."""
    from inference.log.replay import ready, replay
    from presage.package.keys import Trust
    from presage.package.release import verify_folder

    release = ready(verify_folder(folder / "site" / "models", Trust.open(folder / "site" / "keys")))
    before = time.process_time()
    found = replay(folder / "no text" / "log", release, None)
    seconds = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"replay, rows that callers gave{'':>5} {found.decisions / seconds:8.0f} records a CPU s  {found.decisions / seconds / plain:5.2f}×  {peak:.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
