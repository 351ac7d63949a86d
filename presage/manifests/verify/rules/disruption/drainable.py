"""A budget lets a node be drained: some Pod of it may go."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.selectors import selects
from presage.manifests.verify.subjects import Written


@rule("disruption/drainable", severity=Severity.error, remedy="write maxUnavailable: 1, or run more replicas", kinds=("PodDisruptionBudget",))
def drainable(budget: Written) -> Iterator[Flaw]:
    replicas = 0
    for pod in budget.overlay.pods:
        if pod.namespace == budget.namespace and selects(budget.spec.get("selector") or {}, pod.labels):
            replicas += int(pod.owner.spec.get("replicas", 1))
    least, most = budget.spec.get("minAvailable"), budget.spec.get("maxUnavailable")
    if most in (0, "0%") or least == "100%" or (isinstance(least, int) and 0 < replicas <= least):
        path, value = ("minAvailable", least) if least is not None else ("maxUnavailable", most)
        yield budget.flaw(f"spec.{path}", f"is {value} of {replicas}: no Pod may ever go")
