"""A release is approved as its model's tier asks, before an overlay names it."""

from collections.abc import Iterator

from presage.errors import ArtifactRefused
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.governed import Governed
from presage.manifests.verify.registry import rule
from presage.package.approvals import Subject, check


@rule("approvals/approved", severity=Severity.error, remedy="have it approved: presage release approve, then presage policies render")
def approved(governed: Governed) -> Iterator[Flaw]:
    policies = governed.policies
    for named in governed.named():
        policy = policies.releases.get(named.name.partition(":")[0])
        if policy is None:
            yield named.service.flaw(named.path, f"names {named.name}, of which no policy in policies/models speaks")
            continue
        try:
            check(policies.approvals, Subject(named.name, named.digest, policy.risk_tier), governed.now)
        except ArtifactRefused as error:
            yield named.service.flaw(named.path, f"is {named.uri[:60]}…: {error.message.partition(' Have it approved')[0].rstrip('.')}")
