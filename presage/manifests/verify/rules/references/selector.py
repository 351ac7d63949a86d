"""A selector selects somebody: one that selects nobody does nothing, without a word."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object, Overlay

_FIELDS = {
    "Service": "selector", "PodDisruptionBudget": "selector", "NetworkPolicy": "podSelector", "PeerAuthentication": "selector",
    "AuthorizationPolicy": "selector", "RequestAuthentication": "selector", "PodMonitor": "selector", "EnvoyFilter": "workloadSelector",
    "Sidecar": "workloadSelector",
}  # fmt: skip


@rule("references/selector", severity=Severity.error, remedy="write labels that its Pods have")
def selector(overlay: Overlay) -> Iterator[Flaw]:
    for found in overlay.of_kind(*_FIELDS):
        field = _FIELDS[found.kind]
        wished = found.spec.get(field)
        if not wished or not _inhabited(overlay, found):
            continue
        selector = {"matchLabels": wished} if found.kind == "Service" else wished
        if field == "workloadSelector":
            selector = {"matchLabels": wished.get("labels")}
        if not any(overlay.selected(name, selector) for name in _namespaces(overlay, found)):
            yield found.flaw(f"spec.{field}", f"selects nobody in {', '.join(_namespaces(overlay, found))}")


def _namespaces(overlay: Overlay, found: Object) -> list[str]:
    wished = found.spec.get("namespaceSelector") if found.kind == "PodMonitor" else None
    if not isinstance(wished, dict):
        return [found.namespace]
    return overlay.inhabited if wished.get("any") else list(wished.get("matchNames") or [])


def _inhabited(overlay: Overlay, found: Object) -> bool:
    names = _namespaces(overlay, found)
    return any(name in overlay.inhabited for name in names) and not overlay.doubtful & set(names)
