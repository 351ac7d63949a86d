"""A model is a release of ours, named by its digest: what was approved is what is loaded."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.serving import predictors
from presage.manifests.verify.subjects import Written

_RELEASE = re.compile(r"presage://[a-z0-9][a-z0-9.-]*:[A-Za-z0-9][A-Za-z0-9._-]*@(sha256:[0-9a-f]{64}|unresolved)")
_LOCAL = re.compile(r"presage://[a-z0-9][a-z0-9.-]*:local")


@rule(
    "kserve/release", severity=Severity.error, kinds=("InferenceService",),
    remedy="write presage://NAME:VERSION@sha256:DIGEST, as `presage release publish` prints it",
)  # fmt: skip
def release(service: Written) -> Iterator[Flaw]:
    for predictor in predictors(service):
        for path, uri in predictor.uris:
            local = service.overlay.name == "local" and _LOCAL.fullmatch(uri)
            if not _RELEASE.fullmatch(uri) and not local:
                yield service.flaw(path, f"is {uri!r}, no release named by its digest")
