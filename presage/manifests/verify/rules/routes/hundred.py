"""Weights of a split are percent: they sum to 100, so that each is what it says."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object


@rule("routes/hundred", severity=Severity.warning, remedy="make them sum to 100", kinds=("HTTPRoute", "GRPCRoute"))
def hundred(route: Object) -> Iterator[Flaw]:
    for position, one in enumerate(route.spec.get("rules") or []):
        weights = [backend.get("weight", 1) for backend in one.get("backendRefs") or []]
        if len(weights) > 1 and sum(weights) not in (0, 100):
            yield route.flaw(f"spec.rules[{position}].backendRefs", f"have weights that sum to {sum(weights)}")
