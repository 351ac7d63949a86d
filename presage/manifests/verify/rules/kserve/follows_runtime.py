"""A model follows its runtime: with auto-update off, a ready service is frozen whole."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_KEY = "serving.kserve.io/disable-auto-update"


@rule("kserve/follows-runtime", severity=Severity.warning, remedy="remove the annotation, or say in a waiver until when it stays", kinds=("InferenceService",))
def follows_runtime(service: Written) -> Iterator[Flaw]:
    if service.annotations.get(_KEY) == "true":
        yield service.flaw(f"metadata.annotations[{_KEY}]", "is true: neither runtime nor rollback reaches it while it is ready")
