"""A rule looks at metrics that somebody exports: over one that nobody does it is silent for ever."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.metrics import metrics_named
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("observability/metric-known", severity=Severity.error, remedy="name one of manifests/metrics.yaml, or add it there", kinds=("PrometheusRule",))
def metric_known(found: Written) -> Iterator[Flaw]:
    exported = found.overlay.metrics
    if exported is None:
        return
    groups = [(one, place) for place, one in enumerate(found.spec.get("groups") or [])]
    for group, place in groups:
        for position, one in enumerate(group.get("rules") or []):
            for name in sorted(metrics_named(str(one.get("expr", ""))) - exported - found.overlay.recorded):
                yield found.flaw(f"spec.groups[{place}].rules[{position}].expr", f"looks at {name}, which nobody exports")
