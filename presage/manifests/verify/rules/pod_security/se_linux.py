"""No Pod chooses an SELinux user or role, nor a type beyond the container ones."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod

_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})


@rule("pod-security/se-linux", severity=Severity.error, remedy="remove it")
def se_linux(pod: Pod) -> Iterator[Flaw]:
    contexts = [("spec", pod.spec.get("securityContext") or {})]
    contexts += [(container.path.removeprefix(pod.path), container.security) for container in pod.containers]
    for path, context in contexts:
        options = context.get("seLinuxOptions") or {}
        for field in ("user", "role"):
            if options.get(field):
                yield pod.flaw(f"{path}.securityContext.seLinuxOptions.{field}", f"is {options[field]!r}")
        if options.get("type", "") not in _TYPES:
            yield pod.flaw(f"{path}.securityContext.seLinuxOptions.type", f"is {options['type']!r}")
