"""A namespace in which something runs enforces the restricted profile."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay

_ENFORCE = "pod-security.kubernetes.io/enforce"


@rule("pod-security/namespace-enforced", severity=Severity.error, remedy="label the Namespace pod-security.kubernetes.io/enforce: restricted")
def namespace_enforced(overlay: Overlay) -> Iterator[Flaw]:
    for name in overlay.inhabited:
        namespace = overlay.namespaces.get(name)
        if namespace is not None and namespace.labels.get(_ENFORCE) != "restricted":
            yield namespace.flaw(f"metadata.labels[{_ENFORCE}]", f"is {namespace.labels.get(_ENFORCE)!r}")
