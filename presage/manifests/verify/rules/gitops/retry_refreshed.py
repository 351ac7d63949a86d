"""A retry goes on with the newer commit: else a bad one holds the good one up until its tries are over."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import is_argo
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/retry-refreshed", severity=Severity.error, remedy="write retry: {refresh: true}", kinds=("Application",))
def retry_refreshed(application: Written) -> Iterator[Flaw]:
    policy = application.spec.get("syncPolicy") or {}
    if is_argo(application) and "automated" in policy and (policy.get("retry") or {}).get("refresh") is not True:
        yield application.flaw("spec.syncPolicy.retry.refresh", "is not true")
