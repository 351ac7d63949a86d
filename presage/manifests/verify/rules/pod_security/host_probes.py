"""A probe or hook asks its own Pod, never another host."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container

_KINDS = ("httpGet", "tcpSocket")


@rule("pod-security/host-probes", severity=Severity.error, remedy="remove host: the kubelet asks the Pod's own address")
def host_probes(container: Container) -> Iterator[Flaw]:
    hooks = [(f"lifecycle.{name}", hook) for name, hook in (container.manifest.get("lifecycle") or {}).items() if isinstance(hook, dict)]
    for field, probe in (*container.probes, *hooks):
        for kind in _KINDS:
            if host := (probe.get(kind) or {}).get("host"):
                yield container.flaw(f"{field}.{kind}.host", f"is {host!r}")
