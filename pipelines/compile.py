"""The committed IR of each pipeline: what a cluster runs, readable in a review. A check keeps it current."""

import sys
import tempfile
from pathlib import Path

from pipelines.catalogue import PIPELINES, Listed
from presage.errors import InputError
from presage.files import write_bytes


def compiled_text(listed: Listed) -> bytes:
    """The pipeline's IR as YAML: the same bytes on every machine."""
    from kfp import compiler

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(listed.load(), str(path))
        return path.read_bytes()


def compile_all(check: bool) -> int:
    """Write every pipeline's IR; with `check` write nothing and raise InputError where one is stale."""
    for listed in PIPELINES:
        text = compiled_text(listed)
        current = listed.compiled.exists() and listed.compiled.read_bytes() == text
        if check and not current:
            raise InputError(f"{listed.compiled} is stale: {listed.name} or a component's signature changed. Run `python -m pipelines compile` and commit it.")
        if not current:
            write_bytes(listed.compiled, text)
        print(f"{listed.compiled.name}: {'current' if current else 'written'}", file=sys.stderr)
    return 0
