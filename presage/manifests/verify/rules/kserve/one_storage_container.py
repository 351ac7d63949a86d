"""One storage container takes a URI: of two KServe takes any."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("kserve/one-storage-container", severity=Severity.error, remedy="take the prefix out of one of them")
def one_storage_container(overlay: Overlay) -> Iterator[Flaw]:
    taken: dict[str, str] = {}
    for found in overlay.written_of("ClusterStorageContainer"):
        if found.manifest.get("disabled") or found.spec.get("workloadType", "initContainer") != "initContainer":
            continue
        for position, one in enumerate(found.spec.get("supportedUriFormats") or []):
            form = str(one.get("prefix") or one.get("regex"))
            if form in taken:
                yield found.flaw(f"spec.supportedUriFormats[{position}]", f"is {form!r}, which {taken[form]} takes too")
            taken.setdefault(form, found.name)
