"""What KServe's webhook would add to a list or a model is written: Argo CD shows it as a difference for ever."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_V2_FORMATS = ("triton", "vllm")


@rule("kserve/protocol-written", severity=Severity.warning, remedy="write protocolVersion: v2", kinds=("InferenceService",))
def protocol_written(service: Written) -> Iterator[Flaw]:
    model = (service.spec.get("predictor") or {}).get("model") or {}
    if (model.get("modelFormat") or {}).get("name") in _V2_FORMATS and "protocolVersion" not in model:
        yield service.flaw("spec.predictor.model.protocolVersion", "is missing; the webhook writes v2")
