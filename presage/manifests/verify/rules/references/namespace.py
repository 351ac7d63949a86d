"""An object lies in a namespace that the overlay makes, or in one of the platform underneath."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay

_UNDERNEATH = frozenset({"", "argocd", "default", "istio-system", "kserve", "kube-public", "kube-system"})


@rule("references/namespace", severity=Severity.error, remedy="add the Namespace, or mend the name")
def namespace(overlay: Overlay) -> Iterator[Flaw]:
    if not overlay.namespaces:
        return  # a part of an overlay, looked at by itself
    for found in overlay.written:
        if found.namespace not in _UNDERNEATH and found.namespace not in overlay.namespaces:
            yield found.flaw("metadata.namespace", f"is {found.namespace!r}, and no Namespace is called so")
