"""In every namespace where something runs no packet passes, in or out, but what is allowed."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("network/default-deny", severity=Severity.error, remedy="write a NetworkPolicy with podSelector {} and policyTypes [Ingress, Egress], without rules")
def default_deny(overlay: Overlay) -> Iterator[Flaw]:
    covered = {
        policy.namespace for policy in overlay.of_kind("NetworkPolicy")
        if policy.spec.get("podSelector") == {} and set(policy.spec.get("policyTypes") or []) == {"Ingress", "Egress"}
        and not policy.spec.get("ingress") and not policy.spec.get("egress")
    }  # fmt: skip
    for name in overlay.inhabited:
        if name in overlay.namespaces and name not in covered:
            yield overlay.namespaces[name].flaw("metadata.name", "has no NetworkPolicy that denies all, in and out")
