"""A denial says why and what to do: it is all that Argo CD shows."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule(
    "admission/says-why", severity=Severity.error, kinds=("ValidatingAdmissionPolicy",),
    remedy="write message, one line with the remedy (beside a messageExpression, which may fail)",
)  # fmt: skip
def says_why(policy: Written) -> Iterator[Flaw]:
    for position, one in enumerate(policy.spec.get("validations") or []):
        message = str(one.get("message") or "").strip()
        if not message or "\n" in message:
            yield policy.flaw(f"spec.validations[{position}].message", "has a line break" if message else "is missing")
