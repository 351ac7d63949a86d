"""A Pod shares none of its node's namespaces."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("pod-security/host-namespaces", severity=Severity.error, remedy="remove it")
def host_namespaces(pod: Pod) -> Iterator[Flaw]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(field):
            yield pod.flaw(f"spec.{field}", "is true")
