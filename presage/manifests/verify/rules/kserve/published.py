"""A release is published before it is served."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.serving import predictors
from presage.manifests.verify.subjects import Written


@rule(
    "kserve/published", severity=Severity.warning, release=Severity.error, kinds=("InferenceService",),
    remedy="publish it (`presage release publish`) and write the digest; admission and gate refuse it so",
)  # fmt: skip
def published(service: Written) -> Iterator[Flaw]:
    for predictor in predictors(service):
        for path, uri in predictor.uris:
            if uri.endswith("@unresolved"):
                yield service.flaw(path, f"is {uri!r}, which is not published yet")
