"""A signed approval is good: its signer holds the role, signed this very release, and it has not ended."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.governed import Governed
from presage.manifests.verify.registry import rule


@rule("approvals/good", severity=Severity.error, remedy="remove the statement, or have the release approved anew: presage release approve")
def good(governed: Governed) -> Iterator[Flaw]:
    for path, sentence in governed.policies.faults(governed.now):
        yield Flaw(path, "", sentence.rstrip("."))
