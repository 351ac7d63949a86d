"""Replicas follow metrics that somebody exports: one that nobody does is 0 for ever."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.metrics import metrics_named
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object, Overlay


@rule("observability/scaling-metric", severity=Severity.error, remedy="name one of manifests/metrics.yaml, or add it there")
def scaling_metric(overlay: Overlay) -> Iterator[Flaw]:
    exported = overlay.metrics
    for found in overlay.of_kind("ScaledObject") if exported is not None else ():
        for position, trigger in enumerate(found.spec.get("triggers") or []):
            query = str((trigger.get("metadata") or {}).get("query") or "") if trigger.get("type") == "prometheus" else ""
            for name in sorted(metrics_named(query) - (exported or frozenset()) - overlay.recorded):
                yield _flaw(found, position, name)


def _flaw(found: Object, position: int, name: str) -> Flaw:
    return found.flaw(f"spec.triggers[{position}].metadata.query", f"looks at {name}, which nobody exports")
