"""A binding denies: Audit and Warn let the object in."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule(
    "admission/denies", severity=Severity.warning, release=Severity.error, kinds=("ValidatingAdmissionPolicyBinding",),
    remedy="write validationActions: [Deny]",
)  # fmt: skip
def denies(binding: Written) -> Iterator[Flaw]:
    if "Deny" not in (binding.spec.get("validationActions") or []):
        yield binding.flaw("spec.validationActions", f"are {', '.join(binding.spec.get('validationActions') or ['none'])}")
