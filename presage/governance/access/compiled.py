"""One object that is compiled from the policy: where its file lies, why it is there, what it says."""

from dataclasses import dataclass
from typing import Any

from presage.manifests.objects import Manifest


@dataclass(frozen=True)
class Compiled:
    """place: folder of generated/ (a domain's name, or `common`). clauses: ids it comes from. because: its comment. source: the policy's file."""

    place: str
    clauses: tuple[str, ...]
    because: str
    manifest: Manifest
    source: str = "policies/access.yaml"

    @property
    def file(self) -> str:
        """`authorizationpolicy.operators.yaml`; in `common`, where there are several namespaces, with that before its name."""
        metadata = self.manifest["metadata"]
        among = f"{metadata['namespace']}." if self.place == COMMON else ""
        return f"{self.manifest['kind'].lower()}.{among}{metadata['name']}.yaml"


COMMON = "common"


def manifest(api: str, kind: str, name: str, namespace: str, **content: Any) -> Manifest:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **content}


def predictor(service: str) -> dict[str, str]:
    """Labels of a service's predictor Pods: stable and canary, and after a promotion too."""
    return {"component": "predictor", "serving.kserve.io/inferenceservice": service}
