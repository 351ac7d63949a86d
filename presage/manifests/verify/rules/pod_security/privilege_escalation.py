"""No container can gain more rights than it started with."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pod-security/privilege-escalation", severity=Severity.error, remedy="write allowPrivilegeEscalation: false")
def privilege_escalation(container: Container) -> Iterator[Flaw]:
    if container.security.get("allowPrivilegeEscalation") is not False:
        yield container.flaw("securityContext.allowPrivilegeEscalation", "is not false")
