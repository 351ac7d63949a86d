"""A release is opened into memory: decrypted, it never touches a disk."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod

_VOLUME = "kserve-provision-location"


@rule("kserve/gate-in-memory", severity=Severity.error, remedy="declare kserve-provision-location in the runtime: emptyDir {medium: Memory, sizeLimit: …}")
def gate_in_memory(pod: Pod) -> Iterator[Flaw]:
    for position, volume in enumerate(pod.spec.get("volumes") or []):
        if pod.serving and volume.get("name") == _VOLUME:
            place = volume.get("emptyDir") or {}
            if place.get("medium") != "Memory" or "sizeLimit" not in place:
                yield pod.flaw(f"spec.volumes[{position}]", "is no memory with a limit")
