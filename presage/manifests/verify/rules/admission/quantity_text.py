"""A quantity is read from text: YAML may hold a bare number in a custom kind."""

import re
from collections.abc import Iterator

from presage.manifests.verify.cel import expressions
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_BARE = re.compile(r"\bquantity\((?!\s*(string\(|['\"]))")


@rule("admission/quantity-text", severity=Severity.error, remedy="write quantity(string(x))", kinds=("ValidatingAdmissionPolicy",))
def quantity_text(policy: Written) -> Iterator[Flaw]:
    for path, expression in expressions(policy):
        if _BARE.search(expression):
            yield policy.flaw(path, "reads a quantity that may be a number: an error, and so a denial")
