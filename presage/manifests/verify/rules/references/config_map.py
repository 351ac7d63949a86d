"""Each ConfigMap that a Pod cannot start without is there, with the keys it needs."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.keys import known_keys
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay, Pod
from presage.manifests.verify.uses import uses


@rule("references/config-map", severity=Severity.error, remedy="add it to an application of the overlay, or mark the use optional")
def config_map(overlay: Overlay) -> Iterator[Flaw]:
    for pod in overlay.pods:
        yield from _of_pod(overlay, pod)


def _of_pod(overlay: Overlay, pod: Pod) -> Iterator[Flaw]:
    for use in uses(pod):
        if use.kind != "ConfigMap":
            continue
        there = overlay.find(use.kind, pod.namespace, use.name)
        if there is None:
            yield pod.flaw(use.path, f"is {use.name!r}, and no ConfigMap in its namespace is called so")
        elif missing := sorted(set(use.keys) - (known_keys(there) or set(use.keys))):
            yield pod.flaw(use.path, f"needs the keys {', '.join(missing)} of {use.name!r}, which it will not have")
