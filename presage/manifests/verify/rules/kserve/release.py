"""A model is a release of ours, named by its digest: what was approved is what is loaded."""

from collections.abc import Iterator

from presage.errors import ArtifactRefused
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.serving import predictors
from presage.manifests.verify.subjects import Written
from presage.package.reference import parse_reference


@rule(
    "kserve/release", severity=Severity.error, kinds=("InferenceService",),
    remedy="write presage://NAME:VERSION@sha256:DIGEST, as `presage release publish` prints it",
)  # fmt: skip
def release(service: Written) -> Iterator[Flaw]:
    for predictor in predictors(service):
        for path, uri in predictor.uris:
            if uri.startswith("presage://") and uri.endswith("@unresolved"):
                continue  # kserve/published
            try:
                parse_reference(uri, allow_local=service.overlay.of_one_machine)
            except ArtifactRefused:
                yield service.flaw(path, f"is {uri!r}, no release named by its digest")
