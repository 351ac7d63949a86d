"""An object of Kubernetes' own kinds holds to its schema, and so does what a controller makes; a field that it does not know is an error."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("schema/built-in", severity=Severity.error, remedy="mend the field; `kubectl explain` says what it may hold")
def built_in(overlay: Overlay) -> Iterator[Flaw]:
    schemas = overlay.schemas
    if schemas is None:
        return
    for found in overlay.objects:
        if not schemas.custom(found.manifest) and schemas.knows(found.manifest):
            for path, message in schemas.errors(found.manifest):
                yield found.flaw(path, message)
