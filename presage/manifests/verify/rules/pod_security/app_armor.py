"""No Pod leaves the runtime's AppArmor profile."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod

_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"


@rule("pod-security/app-armor", severity=Severity.error, remedy="remove it, or write RuntimeDefault or Localhost")
def app_armor(pod: Pod) -> Iterator[Flaw]:
    contexts = [("spec", pod.spec.get("securityContext") or {})]
    contexts += [(container.path.removeprefix(pod.path), container.security) for container in pod.containers]
    for path, context in contexts:
        if (context.get("appArmorProfile") or {}).get("type") == "Unconfined":
            yield pod.flaw(f"{path}.securityContext.appArmorProfile.type", "is Unconfined")
    for key, value in pod.annotations.items():
        if key.startswith(_ANNOTATION) and value != "runtime/default" and not value.startswith("localhost/"):
            yield pod.flaw(f"metadata.annotations[{key}]", f"is {value!r}")
