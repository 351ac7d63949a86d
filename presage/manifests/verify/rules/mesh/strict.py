"""Every namespace of the mesh takes mutual TLS alone."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.mesh import ROOT, istio, mesh_namespaces, selector_of
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("mesh/strict", severity=Severity.error, remedy="write a PeerAuthentication without selector, mtls: {mode: STRICT}, in the namespace")
def strict(overlay: Overlay) -> Iterator[Flaw]:
    covered = {
        policy.namespace for policy in istio(overlay, "PeerAuthentication")
        if not selector_of(policy) and (policy.spec.get("mtls") or {}).get("mode") == "STRICT"
    }  # fmt: skip
    for name in mesh_namespaces(overlay):
        if name not in covered and ROOT not in covered:
            yield overlay.namespaces[name].flaw("metadata.name", "has no PeerAuthentication of its own with mode STRICT")
