"""Coverage-guided fuzzing of what the server reads from anybody: `make test-fuzz`.

    python tests/fuzz [SECONDS]        default: 600

Starts from the kept inputs (corpus.txt) and adds to them what reaches code that none of them reached. Any 5xx but 501, any exception and
anything that is no HTTP ends it with the input that did it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[0] = str(ROOT)  # in place of this folder

sys.path.insert(1, str(ROOT / "tests"))

from benchmarks.serving_release import build_site  # noqa: E402
from fuzz.corpus import keep, kept  # noqa: E402

LONGEST = 1024


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    with tempfile.TemporaryDirectory() as folder:
        build_site(Path(folder) / "site", detectors=False)
        inputs = Path(folder) / "inputs"
        inputs.mkdir()
        for number, each in enumerate(kept()):
            (inputs / f"{number:06d}").write_bytes(each)
        command = [
            sys.executable, str(HERE / "guided.py"), f"{folder}/site", f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=20",
            "-rss_limit_mb=1024", "-print_final_stats=1", f"-artifact_prefix={folder}/", str(inputs),
        ]  # fmt: skip
        done = subprocess.run(command, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"})
        crashes = [path for kind in ("crash-*", "timeout-*", "oom-*") for path in Path(folder).glob(kind)]
        new = keep({path.read_bytes() for path in (*inputs.iterdir(), *crashes)})
        for crash in crashes:
            print(f"This did it (kept): {crash.read_bytes()[:400]!r}")
        print(f"{new} new inputs are kept, {len(kept())} in all")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
