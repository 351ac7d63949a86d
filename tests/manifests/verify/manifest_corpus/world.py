"""The good set, the edits that break it, and what verify says of the result."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from presage.manifests.objects import Manifest, parse_objects

GOOD = Path(__file__).parent / "good"
DROP = object()

Edit = Callable[["World"], None]


@cache
def _good() -> list[tuple[str, Manifest]]:
    return [(file.stem, found) for file in sorted(GOOD.glob("*.yaml")) for found in parse_objects(file.read_text(), file.name)]


class World:
    """All objects, each with its application."""

    def __init__(self) -> None:
        self.objects = deepcopy(_good())

    def find(self, name: str) -> Manifest:
        """`Kind/name` or `Kind/namespace/name`; the first that fits."""
        kind, *rest = name.split("/")
        for _, found in self.objects:
            metadata = found["metadata"]
            if found["kind"] == kind and rest[-1] == metadata["name"] and rest[:-1] in ([], [metadata.get("namespace")]):
                return found
        raise AssertionError(f"no {name} in the good set")


@dataclass(frozen=True)
class Case:
    """rules: exactly the rules that fire; none for a look-alike. release: verified with --release."""

    title: str
    edits: tuple[Edit, ...]
    rules: tuple[str, ...] = ()
    release: bool = False

    def world(self) -> World:
        world = World()
        for edit in self.edits:
            edit(world)
        return world


def broken(rules: str, title: str, *edits: Edit, release: bool = False) -> Case:
    """rules: their ids, separated by blanks."""
    return Case(title, edits, tuple(sorted(rules.split())), release)


def alike(title: str, *edits: Edit, release: bool = False) -> Case:
    return Case(title, edits, (), release)


def put(name: str, path: str, value: Any) -> Edit:
    """Set, remove (DROP) or append (path ends in `[+]`) a value of an object. Steps are separated by dots; `'…'` quotes a step that holds dots."""

    def edit(world: World) -> None:
        place: Any = world.find(name)
        steps = _steps(path)
        for step, following in pairwise(steps):
            empty = [] if isinstance(following, int) or following == "+" else {}
            place = place.setdefault(step, empty) if isinstance(place, dict) else place[step]
        if value is DROP:
            del place[steps[-1]]
        elif steps[-1] == "+":
            place.append(deepcopy(value))
        else:
            place[steps[-1]] = deepcopy(value)

    return edit


def drop(name: str) -> Edit:
    """Take an object out."""

    def edit(world: World) -> None:
        gone = world.find(name)
        world.objects = [(application, found) for application, found in world.objects if found is not gone]

    return edit


def add(application: str, text: str) -> Edit:
    """Add the objects of a YAML text to an application."""

    def edit(world: World) -> None:
        world.objects += [(application, found) for found in parse_objects(text, application)]

    return edit


def move(name: str, application: str) -> Edit:
    """Put an object into another application."""

    def edit(world: World) -> None:
        moved = world.find(name)
        world.objects = [(application if found is moved else where, found) for where, found in world.objects]

    return edit


def _steps(path: str) -> list[str | int]:
    found: list[str | int] = []
    for quoted, plain, index in re.findall(r"'([^']+)'|([^.\[\]']+)|\[([+\d]+)\]", path):
        found.append(quoted or plain or (index if index == "+" else int(index)))
    return found


def canary(**predictor: Any) -> Edit:
    """A canary entry as it should be, with `predictor` laid over."""
    model = {"name": "kserve-container", "modelFormat": {"name": "presage", "version": "1"}, "storageUri": "presage://incident:2@sha256:" + "c" * 64}
    entry = {"trafficPercent": 5, "predictor": {"name": "canary", "model": model, **predictor}}
    return put("InferenceService/incident", "spec.canary", [entry])


POD, MAIN = "Deployment/telemetry", "spec.template.spec.containers[0]"
SERVICE, RUNTIME, SERVER = "InferenceService/incident", "ServingRuntime/cpu", "spec.containers[0]"
GATE = "ClusterStorageContainer/gate"
