"""A binding names an admission policy that is there: one that names none is accepted and judges nothing."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("references/binding", severity=Severity.error, remedy="add the policy, or mend the name", kinds=("ValidatingAdmissionPolicyBinding",))
def binding(found: Written) -> Iterator[Flaw]:
    name = str(found.spec.get("policyName"))
    if found.overlay.find("ValidatingAdmissionPolicy", "", name) is None:
        yield found.flaw("spec.policyName", f"is {name!r}, and no ValidatingAdmissionPolicy is called so")
