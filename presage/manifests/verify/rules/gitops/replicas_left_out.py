"""Where something scales, Git says no replicas: each sync would undo the scaling."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/replicas-left-out", severity=Severity.error, remedy="remove replicas from the workload", kinds=("Deployment", "StatefulSet"))
def replicas_left_out(found: Written) -> Iterator[Flaw]:
    if "replicas" not in found.spec:
        return
    for scaler in found.overlay.written_of("HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler.spec.get("scaleTargetRef") or {}
        if (scaler.namespace, target.get("name"), target.get("kind", "Deployment")) == (found.namespace, found.name, found.kind):
            yield found.flaw("spec.replicas", f"is {found.spec['replicas']}, and {scaler.kind} {scaler.name} scales it")
