"""A Pod that asks for a GPU tolerates the taint that keeps GPU nodes free of all others."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.gpus import WHOLE, asks
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("gpu/tolerated", severity=Severity.error, remedy="write tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]")
def tolerated(pod: Pod) -> Iterator[Flaw]:
    if asks(pod) and not any(_tolerates(one) for one in pod.spec.get("tolerations") or []):
        yield pod.flaw("spec.tolerations", f"lack the taint {WHOLE}: the Pod would wait for ever")


def _tolerates(toleration: dict[str, object]) -> bool:
    return toleration.get("key", WHOLE) == WHOLE and toleration.get("effect", "NoSchedule") == "NoSchedule" and toleration.get("operator") == "Exists"
