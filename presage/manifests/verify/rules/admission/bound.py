"""A policy is bound: one without a binding judges nothing."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("admission/bound", severity=Severity.error, remedy="write a ValidatingAdmissionPolicyBinding", kinds=("ValidatingAdmissionPolicy",))
def bound(policy: Written) -> Iterator[Flaw]:
    if not any(binding.spec.get("policyName") == policy.name for binding in policy.overlay.written_of("ValidatingAdmissionPolicyBinding")):
        yield policy.flaw("metadata.name", "is named by no binding")
