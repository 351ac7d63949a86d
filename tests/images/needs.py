"""What the request path imports, inside functions too: a library that is missing fails when it is needed, not at start.

The built image is asked with this very text; without an image the libraries that would go into it are followed through what each of them requires.
"""

import ast
import importlib.util
import re
import tomllib
from collections.abc import Collection, Iterator
from importlib import metadata
from pathlib import Path

NOT_SERVING = {
    "presage/features/feast_store.py": "Feast loads it, in Feast's own programs",
    "inference/log/iceberg.py": "a job, in presage/training",
    "inference/log/aggregate.py": "a job, in presage/training",
    "inference/log/free_text.py": "asks first whether presidio is there; without it texts are masked whole",
    "presage/governance/retention/stores/mlflow_runs.py": "where the registry of runs is: a cluster's job names the prediction log alone",
    "inference/triton/twin.py": "Triton's own Python",
}  # fmt: skip
ROOMS = ("events", "features", "governance", "package", "secrets", "storage", "telemetry")
PLACES = ("inference/**/*.py", "presage/*.py", *(f"presage/{room}/**/*.py" for room in ROOMS))


def needs(root: Path, left_out: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Path in `root` and name of a package that it imports."""
    for path in [path for place in PLACES for path in root.glob(place)]:
        if (where := path.relative_to(root).as_posix()) in left_out:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            yield from ((where, name.partition(".")[0]) for name in names)


def absent(root: Path, left_out: Collection[str] = ()) -> list[tuple[str, str]]:
    """What this Python does not have."""
    return sorted({(where, name) for where, name in needs(root, left_out) if importlib.util.find_spec(name) is None})


def packages(project: Path, extras: Collection[str]) -> set[str]:
    """Names that can be imported where `project` (pyproject.toml) is installed with these extras and nothing else, out of what is installed here."""
    from packaging.requirements import Requirement

    declared = tomllib.loads(project.read_text())["project"]
    asked = [*declared["dependencies"], *(line for extra in extras for line in declared["optional-dependencies"][extra])]
    waiting = [Requirement(line) for line in asked]
    there: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            key = (re.sub(r"[-_.]+", "-", wanted.name).lower(), extra)
            if key not in there:
                there.add(key)
                more = [Requirement(line) for line in metadata.requires(wanted.name) or []]
                waiting += [one for one in more if one.marker is None or one.marker.evaluate({"extra": extra})]
    names = {name for name, _ in there}
    return {module for module, holders in metadata.packages_distributions().items() if {re.sub(r"[-_.]+", "-", one).lower() for one in holders} & names}
