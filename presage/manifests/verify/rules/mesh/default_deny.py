"""In every namespace of the mesh nobody may call, but for what is allowed by name."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.mesh import istio, mesh_namespaces
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("mesh/default-deny", severity=Severity.error, remedy="write an AuthorizationPolicy with an empty spec in the namespace")
def default_deny(overlay: Overlay) -> Iterator[Flaw]:
    empty = [policy for policy in istio(overlay, "AuthorizationPolicy") if not any(policy.spec.get(field) for field in ("rules", "selector", "targetRefs"))]
    covered = {policy.namespace for policy in empty}
    for name in mesh_namespaces(overlay):
        if name not in covered:
            yield overlay.namespaces[name].flaw("metadata.name", "has no AuthorizationPolicy that denies all")
