"""A policy that cannot be evaluated denies."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("admission/fails-closed", severity=Severity.error, remedy="write failurePolicy: Fail", kinds=("ValidatingAdmissionPolicy",))
def fails_closed(policy: Written) -> Iterator[Flaw]:
    if policy.spec.get("failurePolicy", "Fail") != "Fail":
        yield policy.flaw("spec.failurePolicy", f"is {policy.spec['failurePolicy']}: a missing key allows")
