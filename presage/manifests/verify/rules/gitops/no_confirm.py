"""Nothing in a model's Application waits for a hand: Prune=confirm holds the operation, and with it the next commit."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_OPTIONS = "argocd.argoproj.io/sync-options"


@rule("gitops/no-confirm", severity=Severity.error, remedy="write Prune=false, and move the object to an Application of its own")
def no_confirm(found: Written) -> Iterator[Flaw]:
    asks = any(word in found.annotations.get(_OPTIONS, "") for word in ("Prune=confirm", "Delete=confirm"))
    if asks and any(one.application == found.application for one in found.overlay.written_of("InferenceService")):
        yield found.flaw(f"metadata.annotations[{_OPTIONS}]", f"is {found.annotations[_OPTIONS]!r} in the model's application {found.application}")
