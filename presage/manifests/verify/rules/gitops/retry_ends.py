"""A retry ends: without a limit no sync ever fails, so that nobody is told."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import is_argo
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/retry-ends", severity=Severity.error, remedy="write a number, such as 10", kinds=("Application",))
def retry_ends(application: Written) -> Iterator[Flaw]:
    limit = ((application.spec.get("syncPolicy") or {}).get("retry") or {}).get("limit")
    if is_argo(application) and isinstance(limit, int) and limit < 0:
        yield application.flaw("spec.syncPolicy.retry.limit", f"is {limit}")
