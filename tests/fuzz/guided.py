"""What the fuzzer's process runs: the rooms' code instrumented, one target, inputs until time is up."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["inference.server", "inference.clients", "inference.path"], enable_loader_override=False):
    from fuzz.target import Target

from benchmarks.serving_release import open_site


def main() -> None:
    site = Path(sys.argv.pop(1))
    target = Target(open_site(site), Path(tempfile.mkdtemp(dir=site.parent)))
    atheris.Setup(sys.argv, lambda data: target.take(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
