"""Every rendered folder is followed by one Application: what nobody follows is never applied, and two undo each other."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import applications, folder_of
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay, Written


@rule("gitops/followed", severity=Severity.error, remedy="write an Application for each folder of the overlay (manifests/argocd)")
def followed(overlay: Overlay) -> Iterator[Flaw]:
    if not overlay.name or not any(applications(overlay)):
        return  # a laptop's, or files by themselves
    folders = {found.application for found in overlay.written}
    taken: dict[str, Written] = {}
    for application in applications(overlay):
        name, folder = folder_of(application)
        if name != overlay.name or folder not in folders:
            yield application.flaw("spec.source.path", f"is {(application.spec.get('source') or {}).get('path')!r}, no rendered folder of {overlay.name}")
        elif folder in taken:
            yield application.flaw("spec.source.path", f"is followed by Application {taken[folder].name} too")
        else:
            taken[folder] = application
    for folder in sorted(folders - taken.keys()):
        yield Flaw(overlay.label, f"rendered/{overlay.name}/{folder}", "is followed by no Application")
