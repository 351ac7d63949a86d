"""A policy judges an object in whatever served version it comes."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule(
    "admission/equivalent", severity=Severity.error, kinds=("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    remedy="leave matchPolicy out, or write Equivalent",
)  # fmt: skip
def equivalent(found: Written) -> Iterator[Flaw]:
    for field in ("matchConstraints", "matchResources"):
        if (found.spec.get(field) or {}).get("matchPolicy") == "Exact":
            yield found.flaw(f"spec.{field}.matchPolicy", "is Exact: other served versions pass")
