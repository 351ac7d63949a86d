"""All that a custom resource is expanded with is there: runtime, storage container, settings, auth, connection."""

from collections.abc import Iterator

from presage.manifests.expand.refusals import MissingReference
from presage.manifests.verify.failures import flaw_of
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("expand/complete", severity=Severity.error, remedy="as the sentence says")
def complete(overlay: Overlay) -> Iterator[Flaw]:
    for written, error in overlay.failures:
        if isinstance(error, MissingReference):
            yield flaw_of(written, error)
