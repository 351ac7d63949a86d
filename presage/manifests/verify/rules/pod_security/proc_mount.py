"""/proc is masked."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pod-security/proc-mount", severity=Severity.error, remedy="remove it")
def proc_mount(container: Container) -> Iterator[Flaw]:
    if container.security.get("procMount", "Default") != "Default":
        yield container.flaw("securityContext.procMount", f"is {container.security['procMount']}")
