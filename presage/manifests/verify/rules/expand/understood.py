"""Every custom resource is understood, field by field: what is hidden in it can be looked at."""

from collections.abc import Iterator

from presage.manifests.expand.refusals import MissingReference, NotAdmitted
from presage.manifests.verify.failures import flaw_of
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("expand/understood", severity=Severity.error, remedy="as the sentence says")
def understood(overlay: Overlay) -> Iterator[Flaw]:
    for written, error in overlay.failures:
        if not isinstance(error, NotAdmitted | MissingReference):
            yield flaw_of(written, error)
