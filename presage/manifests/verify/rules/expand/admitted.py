"""A custom resource passes its kind's own webhook, and what is made of it the API server."""

from collections.abc import Iterator

from presage.manifests.expand.refusals import NotAdmitted
from presage.manifests.verify.failures import flaw_of
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("expand/admitted", severity=Severity.error, remedy="as the sentence says")
def admitted(overlay: Overlay) -> Iterator[Flaw]:
    for written, error in overlay.failures:
        if isinstance(error, NotAdmitted):
            yield flaw_of(written, error)
