"""A variable ends in a value: one that holds an optional reads as absent, without an error."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_OPTIONAL = re.compile(r"(\.\?\w+|(?<=[\w)\]}])\[\?[^\[\]]*\])\s*$")


@rule("admission/settled-variable", severity=Severity.error, remedy="end it in .orValue(…), a bool or a list", kinds=("ValidatingAdmissionPolicy",))
def settled_variable(policy: Written) -> Iterator[Flaw]:
    for position, variable in enumerate(policy.spec.get("variables") or []):
        if _OPTIONAL.search(str(variable.get("expression", ""))):
            yield policy.flaw(f"spec.variables[{position}].expression", f"of {variable.get('name')!r} holds an optional")
