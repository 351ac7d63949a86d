"""A validation or condition is a bool and a message is text, whatever the object: the server refuses what may be anything."""

from collections.abc import Iterator

from presage.manifests.verify.cel import expressions, result_type
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("admission/typed", severity=Severity.error, remedy="write `== true`, or string(x)", kinds=("ValidatingAdmissionPolicy",))
def typed(policy: Written) -> Iterator[Flaw]:
    for path, expression in expressions(policy):
        if path.startswith("spec.variables"):
            continue
        wanted = "STRING" if path.endswith(("messageExpression", "valueExpression")) else "BOOL"
        if (found := result_type(expression)) not in ("", wanted):
            yield policy.flaw(path, f"is of type {found.lower()}, not {wanted.lower()}")
