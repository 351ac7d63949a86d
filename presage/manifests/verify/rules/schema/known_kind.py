"""Every object is of a kind and version that servers know."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.schemas import VERSION
from presage.manifests.verify.subjects import Overlay


@rule("schema/known-kind", severity=Severity.error, remedy="write the version that the server serves, or add the kind's schema to the folder")
def known_kind(overlay: Overlay) -> Iterator[Flaw]:
    schemas = overlay.schemas
    for found in overlay.written:
        if schemas is None or (schemas.custom(found.manifest) and schemas.folder is None) or schemas.knows(found.manifest):
            continue
        where = "in the folder of schemas" if schemas.custom(found.manifest) else f"in Kubernetes {VERSION}"
        yield found.flaw("apiVersion", f"is {found.manifest['apiVersion']}, and no {found.kind} of that is {where}")
