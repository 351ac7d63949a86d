"""A binding selects namespaces by their name: every other label a tenant can change, and an object can leave its own off."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.selectors import keys
from presage.manifests.verify.subjects import Written

_NAME = "kubernetes.io/metadata.name"


@rule(
    "admission/names-namespaces", severity=Severity.error, kinds=("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    remedy="select namespaces by kubernetes.io/metadata.name, and objects not at all",
)  # fmt: skip
def names_namespaces(found: Written) -> Iterator[Flaw]:
    field = "matchConstraints" if found.kind == "ValidatingAdmissionPolicy" else "matchResources"
    resources = found.spec.get(field) or {}
    if other := sorted(keys(resources.get("namespaceSelector") or {}) - {_NAME}):
        yield found.flaw(f"spec.{field}.namespaceSelector", f"looks at {', '.join(other)}")
    if keys(resources.get("objectSelector") or {}):
        yield found.flaw(f"spec.{field}.objectSelector", "is left by removing a label")
