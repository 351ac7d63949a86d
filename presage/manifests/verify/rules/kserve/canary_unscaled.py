"""A canary has no autoscaler: its replicas are fixed, and an autoscaler of its own would be a second hand on them."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.serving import predictors
from presage.manifests.verify.subjects import Written

_CLASS = "serving.kserve.io/autoscalerClass"


@rule("kserve/canary-unscaled", severity=Severity.error, remedy="write autoscalerClass: none in the entry's predictor.annotations", kinds=("InferenceService",))
def canary_unscaled(service: Written) -> Iterator[Flaw]:
    stable = {**service.annotations, **((service.spec.get("predictor") or {}).get("annotations") or {})}.get(_CLASS, "hpa")
    for predictor in predictors(service):
        own = (predictor.spec.get("annotations") or {}).get(_CLASS, stable)
        if predictor.canary and own != "none":
            yield service.flaw(f"{predictor.path}.annotations[{_CLASS}]", f"is {own!r}")
