"""Pods that may call others may ask for their addresses: port 53 is open to them."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object, Overlay


@rule("network/names-resolve", severity=Severity.error, remedy="allow egress to kube-dns, port 53, UDP and TCP")
def names_resolve(overlay: Overlay) -> Iterator[Flaw]:
    calling: dict[str, Object] = {}
    resolving = set()
    for policy in overlay.of_kind("NetworkPolicy"):
        for one in policy.spec.get("egress") or []:
            ports = {port.get("port") for port in one.get("ports") or []}
            if 53 in ports or not ports:
                resolving.add(policy.namespace)
            else:
                calling.setdefault(policy.namespace, policy)
    for name, policy in sorted(calling.items()):
        if name in overlay.inhabited and name not in resolving:
            yield policy.flaw("spec.egress", f"allows calls, and no policy of {name} allows port 53")
