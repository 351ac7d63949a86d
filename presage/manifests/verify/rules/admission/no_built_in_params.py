"""Limits are literals in the policy: parameters in a ConfigMap freeze once no binding uses the kind."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("admission/no-built-in-params", severity=Severity.error, remedy="write the limits as typed literals in variables", kinds=("ValidatingAdmissionPolicy",))
def no_built_in_params(policy: Written) -> Iterator[Flaw]:
    kind = policy.spec.get("paramKind") or {}
    if kind and "." not in str(kind.get("apiVersion", "")).partition("/")[0]:
        yield policy.flaw("spec.paramKind", f"is {kind.get('kind')}, a built-in kind")
