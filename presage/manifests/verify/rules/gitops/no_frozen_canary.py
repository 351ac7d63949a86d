"""Nobody ignores a path into a canary entry and has Argo CD respect that: the whole list then stays what it is, whatever is committed."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import is_argo, sync_options
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/no-frozen-canary", severity=Severity.error, remedy="ignore nothing of an InferenceService", kinds=("Application",))
def no_frozen_canary(application: Written) -> Iterator[Flaw]:
    if not is_argo(application) or not any("RespectIgnoreDifferences=true" in options for _, options in sync_options(application)):
        return
    for position, one in enumerate(application.spec.get("ignoreDifferences") or []):
        ignored = [*(one.get("jsonPointers") or []), *(one.get("jqPathExpressions") or [])]
        if one.get("kind") in ("InferenceService", "*") and any("canary" in str(path) for path in ignored):
            yield application.flaw(f"spec.ignoreDifferences[{position}]", "reaches into spec.canary, with RespectIgnoreDifferences=true")
