"""A DestinationRule does not take mutual TLS away from calls inside the mesh."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("mesh/destination-tls", severity=Severity.error, remedy="write tls: {mode: ISTIO_MUTUAL}, or leave tls out", kinds=("DestinationRule",))
def destination_tls(found: Written) -> Iterator[Flaw]:
    policies = [("spec.trafficPolicy", found.spec.get("trafficPolicy") or {})]
    policies += [(f"spec.subsets[{place}].trafficPolicy", subset.get("trafficPolicy") or {}) for place, subset in enumerate(found.spec.get("subsets") or [])]
    name = str(found.spec.get("host", "")).partition(".")[0]
    inside = found.overlay.find("Service", found.namespace, name) is not None
    for path, policy in policies:
        mode = (policy.get("tls") or {}).get("mode", "ISTIO_MUTUAL")
        if inside and mode != "ISTIO_MUTUAL":
            yield found.flaw(f"{path}.tls.mode", f"is {mode} for a Service of the mesh")
