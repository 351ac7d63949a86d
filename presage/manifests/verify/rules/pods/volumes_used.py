"""A volume that no container mounts is a leftover, or a mount is missing."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("pods/volumes-used", severity=Severity.warning, remedy="mount it, or remove it")
def volumes_used(pod: Pod) -> Iterator[Flaw]:
    mounted = {mount.get("name") for container in pod.containers for mount in container.manifest.get("volumeMounts") or []}
    for position, volume in enumerate(pod.spec.get("volumes") or []):
        if volume.get("name") not in mounted:
            yield pod.flaw(f"spec.volumes[{position}].name", f"is {volume.get('name')!r}, and no container mounts it")
