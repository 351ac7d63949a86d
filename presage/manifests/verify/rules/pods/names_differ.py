"""Containers, volumes, ports and mount paths of one Pod have different names."""

from collections import Counter
from collections.abc import Iterable, Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("pods/names-differ", severity=Severity.error, remedy="rename one of them")
def names_differ(pod: Pod) -> Iterator[Flaw]:
    for name, count in _repeated(container.name for container in pod.containers):
        yield pod.flaw("spec.containers", f"has {count} named {name}")
    for name, count in _repeated(volume.get("name", "") for volume in pod.spec.get("volumes") or []):
        yield pod.flaw("spec.volumes", f"has {count} named {name}")
    for container in pod.containers:
        for path, count in _repeated(mount.get("mountPath", "") for mount in container.manifest.get("volumeMounts") or []):
            yield container.flaw("volumeMounts", f"has {count} at {path}")
        for name, count in _repeated(variable.get("name", "") for variable in container.env):
            yield container.flaw("env", f"has {count} named {name}: the last one holds, in silence")


def _repeated(names: Iterable[str]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in Counter(names).items() if count > 1]
