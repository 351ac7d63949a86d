"""Which step reads what another wrote, by a pipeline's committed IR.

    wiring("incident-training")["split"]        (Wired("labels", "label", "labels"), Wired("features", "featurize", "features"))
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from pipelines.catalogue import find_pipeline

Tasks = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Wired:
    """input: as the reader calls it; task, output: who wrote it, and as what."""

    input: str
    task: str
    output: str


def wiring(pipeline: str) -> dict[str, tuple[Wired, ...]]:
    """Task → what it reads, those inside a loop among them. Raises UsageError where there is no such pipeline."""
    document = next(yaml.safe_load_all(find_pipeline(pipeline).compiled.read_bytes()))
    return dict(_tasks(document["root"]["dag"]["tasks"], document["components"], {}))


def _tasks(tasks: Tasks, components: dict[str, Any], outer: dict[str, Wired]) -> Iterator[tuple[str, tuple[Wired, ...]]]:
    """outer: what the loop around these tasks was given, by its name there."""
    for task, spec in tasks.items():
        read = tuple(_read(spec.get("inputs", {}).get("artifacts", {}), tasks, components, outer))
        inner = components[spec["componentRef"]["name"]].get("dag")
        if inner is None:
            yield task, read
        else:
            yield from _tasks(inner["tasks"], components, {one.input: one for one in read})


def _read(artifacts: dict[str, Any], tasks: Tasks, components: dict[str, Any], outer: dict[str, Wired]) -> Iterator[Wired]:
    for name, found in artifacts.items():
        if "componentInputArtifact" in found:
            given = outer[found["componentInputArtifact"]]
            yield Wired(name, given.task, given.output)
        else:
            made = found["taskOutputArtifact"]
            yield Wired(name, *_maker(made["producerTask"], made["outputArtifactKey"], tasks, components))


def _maker(task: str, output: str, tasks: Tasks, components: dict[str, Any]) -> tuple[str, str]:
    """The step itself, where a loop around it hands its outputs on."""
    inner = components[tasks[task]["componentRef"]["name"]].get("dag")
    if inner is None:
        return task, output
    chosen = inner["outputs"]["artifacts"][output]["artifactSelectors"][0]
    return _maker(chosen["producerSubtask"], chosen["outputArtifactKey"], inner["tasks"], components)
