"""An Application applies and compares on the server: either without the other misses something, what is removed or what is added."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import COMPARE, is_argo, sync_options, words
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/server-side", severity=Severity.error, remedy="write both", kinds=("Application",))
def server_side(application: Written) -> Iterator[Flaw]:
    if not is_argo(application):
        return
    if not any("ServerSideApply=true" in options for _, options in sync_options(application)):
        yield application.flaw("spec.syncPolicy.syncOptions", "does not say ServerSideApply=true")
    if "ServerSideDiff=true" not in words(application.annotations.get(COMPARE, "")):
        yield application.flaw(f"metadata.annotations[{COMPARE}]", "does not say ServerSideDiff=true")
