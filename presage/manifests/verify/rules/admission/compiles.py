"""Every expression compiles: the server refuses the whole policy for one that does not."""

from collections.abc import Iterator

from presage.manifests.verify.cel import compile_problem, expressions
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule(
    "admission/compiles", severity=Severity.error, kinds=("ValidatingAdmissionPolicy",),
    remedy="mend the expression; docs/verify.md says which library is checked offline",
)  # fmt: skip
def compiles(policy: Written) -> Iterator[Flaw]:
    for path, expression in expressions(policy):
        if problem := compile_problem(expression):
            yield policy.flaw(path, f"does not compile: {problem}")
