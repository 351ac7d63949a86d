"""An admission policy is not in the Application that it judges: one refusal there, and it can never be loosened again."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object, Written

_KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


@rule("gitops/policy-apart", severity=Severity.error, remedy="move it to the Application policies", kinds=_KINDS)
def policy_apart(found: Written) -> Iterator[Flaw]:
    judged = _judged(found)
    beside = {one.kind for one in found.overlay.written if one.application == found.application and (_plural(one.kind) in judged or "*" in judged)}
    if beside := beside - {*_KINDS}:
        yield found.flaw("metadata", f"stands beside {', '.join(sorted(beside))}, which it judges, in the application {found.application}")


def _judged(found: Object) -> set[str]:
    policy: Object | None = found
    if found.kind == "ValidatingAdmissionPolicyBinding":
        policy = found.overlay.find("ValidatingAdmissionPolicy", "", str(found.spec.get("policyName")))
    rules = ((policy.spec.get("matchConstraints") or {}).get("resourceRules") or []) if policy else []
    return {str(resource).partition("/")[0] for one in rules for resource in one.get("resources") or []}


def _plural(kind: str) -> str:
    name = kind.lower()
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}es" if name.endswith("s") else f"{name}s"
