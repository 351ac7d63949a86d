"""A container writes into volumes that are declared, never into its image. (Asked beyond the restricted profile.)"""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pod-security/read-only-root", severity=Severity.error, remedy="write readOnlyRootFilesystem: true, and an emptyDir where it writes")
def read_only_root(container: Container) -> Iterator[Flaw]:
    if container.security.get("readOnlyRootFilesystem") is not True:
        yield container.flaw("securityContext.readOnlyRootFilesystem", "is not true")
