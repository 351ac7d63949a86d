"""A revoked release is named by no overlay."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.governed import Governed
from presage.manifests.verify.registry import rule


@rule("approvals/not-revoked", severity=Severity.error, remedy="name another release")
def not_revoked(governed: Governed) -> Iterator[Flaw]:
    revoked = {entry.digest: entry.because for entry in governed.policies.revoked.revoked}
    for named in governed.named():
        if (because := revoked.get(named.digest)) is not None:
            yield named.service.flaw(named.path, f"is {named.name}, which was revoked: {because.rstrip('.')}")
