"""No container runs as user 0."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("pod-security/run-as-user", severity=Severity.error, remedy="write another runAsUser, or leave it to the image")
def run_as_user(pod: Pod) -> Iterator[Flaw]:
    contexts = [("spec", pod.spec.get("securityContext") or {})]
    contexts += [(container.path.removeprefix(pod.path), container.security) for container in pod.containers]
    for path, context in contexts:
        if context.get("runAsUser") == 0:
            yield pod.flaw(f"{path}.securityContext.runAsUser", "is 0")
