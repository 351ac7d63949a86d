"""What a step's result depends on besides its arguments: our code, the lock, and the files behind a source.

The orchestrator's cache sees arguments alone, so both digests are arguments.
"""

import hashlib
from pathlib import Path

from presage.errors import InputError
from presage.files import sha256_file
from presage.telemetry.sources import parse_spec

ROOT = Path(__file__).parent.parent
ROOMS = ("components", "presage")
NOT_IN_STEPS = ("presage.cli", "presage.console", "presage.events", "presage.lineage", "presage.local", "presage.manifests")
"""Code that no step runs (a test holds that): a change to a table's colour does not retrain a model."""
NEVER_CACHED = ("components.score",)
"""Steps that no cache answers: what they alone run (the request path) need not be seen, and changes to it retrain no model."""


def code_digest(root: Path = ROOT) -> str:
    """Hex digest over the Python files that steps run (names and contents) and requirements.lock, where the distribution has it."""
    digest = hashlib.sha256()
    for path in sorted([*(path for room in ROOMS for path in (root / room).rglob("*.py")), *root.glob("requirements.lock")]):
        name = path.relative_to(root).as_posix()
        if not name.replace("/", ".").startswith(NOT_IN_STEPS):
            digest.update(f"{name}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Hex digest of one file's content. Raises InputError where there is none."""
    if not path.is_file():
        raise InputError(f"{path} is no file. Give the path of a Parquet file, seen from {Path.cwd()}, in --rows.")
    return sha256_file(path)


def source_digest(spec: str) -> str:
    """Hex digest of the files that `spec` names (empty where it names none). Raises InputError where one is missing."""
    _, parts = parse_spec(spec)
    named = [*([parts.target] if parts.target else []), *([parts.options["mapping"]] if "mapping" in parts.options else [])]
    digest = hashlib.sha256()
    for name in named:
        path = Path(name)
        if not path.exists():
            raise InputError(f"{path} does not exist. Give the path of a file, seen from {Path.cwd()}, in --source {spec!r}.")
        files = sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest() if named else ""
