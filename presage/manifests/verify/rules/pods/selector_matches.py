"""A workload selects the Pods of its own template."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.selectors import selects
from presage.manifests.verify.subjects import Object


@rule("pods/selector-matches", severity=Severity.error, remedy="write the same labels in spec.selector and in the template")
def selector_matches(found: Object) -> Iterator[Flaw]:
    if found.kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        labels = ((found.spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        if not selects(found.spec.get("selector") or {}, labels):
            yield found.flaw("spec.selector", "does not select the template's own labels: the API server refuses it")
