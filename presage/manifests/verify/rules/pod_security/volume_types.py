"""A Pod mounts no part of its node: only the volume types of the restricted profile."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod

_ALLOWED = frozenset({"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"})


@rule("pod-security/volume-types", severity=Severity.error, remedy="use an emptyDir, a claim, a ConfigMap, a Secret or a projection of them")
def volume_types(pod: Pod) -> Iterator[Flaw]:
    for position, volume in enumerate(pod.spec.get("volumes") or []):
        for kind in sorted(volume.keys() - {"name"} - _ALLOWED):
            yield pod.flaw(f"spec.volumes[{position}].{kind}", f"is a {kind} volume")
