"""Nobody else scales what KServe scales, or keeps at a number."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.serving import made_by_kserve
from presage.manifests.verify.subjects import Written


@rule("kserve/own-autoscaler", severity=Severity.error, remedy="remove it; scale by the InferenceService", kinds=("HorizontalPodAutoscaler", "ScaledObject"))
def own_autoscaler(found: Written) -> Iterator[Flaw]:
    name = str((found.spec.get("scaleTargetRef") or {}).get("name"))
    if made_by_kserve(found.overlay, "Deployment", found.namespace, name) is not None:
        yield found.flaw("spec.scaleTargetRef.name", f"is {name}, whose replicas KServe writes")
