"""A policy names the subresources it judges: `*` leaves them all out."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule(
    "admission/subresources-named", severity=Severity.error, kinds=("ValidatingAdmissionPolicy",),
    remedy="name the resources, and each subresource that matters",
)  # fmt: skip
def subresources_named(policy: Written) -> Iterator[Flaw]:
    for position, one in enumerate((policy.spec.get("matchConstraints") or {}).get("resourceRules") or []):
        if "*" in (one.get("resources") or []):
            yield policy.flaw(f"spec.matchConstraints.resourceRules[{position}].resources", "hold *, which leaves scale, status and ephemeralcontainers out")
