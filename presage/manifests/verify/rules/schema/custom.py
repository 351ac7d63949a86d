"""A custom object holds to the schema of its kind; a field that it does not know is an error."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("schema/custom", severity=Severity.error, remedy="mend the field; the kind's CRD says what it may hold")
def custom(overlay: Overlay) -> Iterator[Flaw]:
    schemas = overlay.schemas
    if schemas is None or schemas.folder is None:
        return
    for found in (*overlay.written, *(one for one in overlay.objects if one.made)):
        if schemas.custom(found.manifest) and schemas.knows(found.manifest):
            for path, message in schemas.errors(found.manifest):
                yield found.flaw(path, message)
