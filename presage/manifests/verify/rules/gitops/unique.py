"""An object is written once in an overlay: of two Applications that hold it, each undoes the other."""

from collections.abc import Iterator

from presage.manifests.expand import PASSED_ON
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object, Overlay


@rule("gitops/unique", severity=Severity.error, remedy="remove one of them, or rename it")
def unique(overlay: Overlay) -> Iterator[Flaw]:
    taken: dict[tuple[str, str, str, str], Object] = {}
    for found in (*overlay.objects, *(one for one in overlay.written if one.group not in PASSED_ON)):
        key = (found.group, found.kind, found.namespace, found.name)
        first = taken.setdefault(key, found)
        if first is not found:
            where = f"application {first.application}" if first.application else "another file"
            yield found.flaw("metadata.name", f"is there twice: {where} has it too")
