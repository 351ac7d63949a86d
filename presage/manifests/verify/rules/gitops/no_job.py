"""A model's Application holds nothing immutable: one changed Job blocks the whole of it."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/no-job", severity=Severity.error, remedy="move it to another Application", kinds=("Job", "Pod"))
def no_job(found: Written) -> Iterator[Flaw]:
    if any(one.application == found.application for one in found.overlay.written_of("InferenceService")):
        yield found.flaw("kind", f"is {found.kind}, in the model's application {found.application}")
