"""No container is privileged."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pod-security/privileged", severity=Severity.error, remedy="remove it")
def privileged(container: Container) -> Iterator[Flaw]:
    if container.security.get("privileged"):
        yield container.flaw("securityContext.privileged", "is true")
