"""Every container runs under the runtime's seccomp profile."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container

_ALLOWED = ("RuntimeDefault", "Localhost")


@rule("pod-security/seccomp", severity=Severity.error, remedy="write seccompProfile: {type: RuntimeDefault} for the Pod or for each container")
def seccomp(container: Container) -> Iterator[Flaw]:
    whole = ((container.pod.spec.get("securityContext") or {}).get("seccompProfile") or {}).get("type")
    own = (container.security.get("seccompProfile") or {}).get("type")
    if (own or whole) not in _ALLOWED or (whole is not None and whole not in _ALLOWED):
        yield container.flaw("securityContext.seccompProfile.type", f"is {own or whole}")
