"""The weights of a rule let traffic through: one of them is above 0."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object


@rule("routes/weights", severity=Severity.error, remedy="give one backend a weight", kinds=("HTTPRoute", "GRPCRoute"))
def weights(route: Object) -> Iterator[Flaw]:
    for position, one in enumerate(route.spec.get("rules") or []):
        backends = one.get("backendRefs") or []
        if backends and sum(backend.get("weight", 1) for backend in backends) <= 0:
            yield route.flaw(f"spec.rules[{position}].backendRefs", "have weights that sum to 0: every request would fail")
