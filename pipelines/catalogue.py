"""Which pipelines there are, by the name that people type."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from presage.errors import UsageError

COMPILED = Path(__file__).parent / "compiled"


@dataclass(frozen=True)
class Listed:
    """target: `module:function`, imported only where the orchestrator's library is wanted. compiled: its committed IR."""

    name: str
    target: str
    compiled: Path

    def load(self) -> Callable[..., Any]:
        """The pipeline function."""
        module, _, function = self.target.partition(":")
        pipeline: Callable[..., Any] = getattr(import_module(module), function)
        return pipeline


PIPELINES = (
    Listed("incident-training", "pipelines.incident_training:incident_training", COMPILED / "incident_training.yaml"),
    Listed("batch-scoring", "pipelines.batch_scoring:batch_scoring", COMPILED / "batch_scoring.yaml"),
    Listed("row-scoring", "pipelines.batch_scoring:row_scoring", COMPILED / "row_scoring.yaml"),
)


def find_pipeline(name: str) -> Listed:
    """Raises UsageError naming the pipelines there are."""
    for listed in PIPELINES:
        if listed.name == name:
            return listed
    raise UsageError(f"There is no pipeline {name!r}. There is {', '.join(listed.name for listed in PIPELINES)}.")
