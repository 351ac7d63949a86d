"""Every container runs as another user than root, and says so."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pod-security/run-as-non-root", severity=Severity.error, remedy="write runAsNonRoot: true for the Pod or for each container")
def run_as_non_root(container: Container) -> Iterator[Flaw]:
    whole = (container.pod.spec.get("securityContext") or {}).get("runAsNonRoot")
    if container.security.get("runAsNonRoot", whole) is not True:
        yield container.flaw("securityContext.runAsNonRoot", "is not true, and neither is the Pod's")
