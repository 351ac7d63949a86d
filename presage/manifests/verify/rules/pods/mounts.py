"""A mount names a volume that the Pod has."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("pods/mounts", severity=Severity.error, remedy="declare the volume (of a model's Pod: in the ServingRuntime or the predictor), or remove the mount")
def mounts(pod: Pod) -> Iterator[Flaw]:
    there = {volume.get("name") for volume in pod.spec.get("volumes") or []}
    for container in pod.containers:
        for position, mount in enumerate(container.manifest.get("volumeMounts") or []):
            if mount.get("name") not in there:
                yield container.flaw(f"volumeMounts[{position}].name", f"is {mount.get('name')!r}, and the Pod has no such volume")
