"""Parameters lie in one namespace: without it each tenant writes its own limits."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule(
    "admission/params-placed", severity=Severity.error, kinds=("ValidatingAdmissionPolicyBinding",),
    remedy="write paramRef.namespace, and parameterNotFoundAction: Deny",
)  # fmt: skip
def params_placed(binding: Written) -> Iterator[Flaw]:
    reference = binding.spec.get("paramRef")
    if isinstance(reference, dict):
        if not reference.get("namespace"):
            yield binding.flaw("spec.paramRef.namespace", "is missing: the object's own namespace is read")
        if reference.get("parameterNotFoundAction") != "Deny":
            yield binding.flaw("spec.paramRef.parameterNotFoundAction", "is not Deny: without parameters the policy is skipped")
