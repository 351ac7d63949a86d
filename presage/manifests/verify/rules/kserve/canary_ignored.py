"""A canary says nothing that KServe ignores in it."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.serving import predictors
from presage.manifests.verify.subjects import Written

_IGNORED = {
    "storageUris": "the stable's URI is loaded", "deploymentStrategy": "a canary rolls by 25 %", "timeout": "the route has the stable's",
    "containerConcurrency": "it is Knative's", "scaleMetricType": "its replicas are fixed",
}  # fmt: skip


@rule("kserve/canary-ignored", severity=Severity.error, remedy="take it out of the entry", kinds=("InferenceService",))
def canary_ignored(service: Written) -> Iterator[Flaw]:
    for predictor in predictors(service):
        for field, instead in _IGNORED.items():
            if predictor.canary and field in predictor.spec:
                yield service.flaw(f"{predictor.path}.{field}", f"is ignored: {instead}")
