"""Each claim that a Pod mounts is there."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay, Pod
from presage.manifests.verify.uses import uses


@rule("references/claim", severity=Severity.error, remedy="add the claim to the platform application")
def claim(overlay: Overlay) -> Iterator[Flaw]:
    for pod in overlay.pods:
        yield from _of_pod(overlay, pod)


def _of_pod(overlay: Overlay, pod: Pod) -> Iterator[Flaw]:
    for use in uses(pod):
        if use.kind != "PersistentVolumeClaim":
            continue
        there = overlay.find(use.kind, pod.namespace, use.name)
        if there is None:
            yield pod.flaw(use.path, f"is {use.name!r}, and no PersistentVolumeClaim in its namespace is called so")
