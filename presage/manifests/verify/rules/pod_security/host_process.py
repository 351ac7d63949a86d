"""No container is a Windows host process."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("pod-security/host-process", severity=Severity.error, remedy="remove it")
def host_process(pod: Pod) -> Iterator[Flaw]:
    contexts = [("spec", pod.spec.get("securityContext") or {})]
    contexts += [(container.path.removeprefix(pod.path), container.security) for container in pod.containers]
    for path, context in contexts:
        if (context.get("windowsOptions") or {}).get("hostProcess"):
            yield pod.flaw(f"{path}.securityContext.windowsOptions.hostProcess", "is true")
