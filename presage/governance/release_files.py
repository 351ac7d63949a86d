"""Approvals and revocations as gates and servers have them: ConfigMaps of each domain, compiled from policies/."""

import json
from collections.abc import Iterator, Mapping

from presage.governance.access.compiled import Compiled, manifest
from presage.governance.access.document import AccessPolicy
from presage.governance.approvers import Approvers
from presage.governance.revoked import RevokedReleases
from presage.governance.tiers import RISK_TIERS, RiskTiers
from presage.package.approvals import RULES, ApprovalRules, Approver, Needs

APPROVALS, REVOCATIONS = "release-approvals", "release-revocations"


def approval_rules(approvers: Approvers, tiers: RiskTiers) -> ApprovalRules:
    """What a release needs, and whose approval counts, as gates read it."""
    people = {person.id: Approver(sorted(person.roles), person.public.pem.decode(), sorted(person.composes_with)) for person in approvers.people}
    needs: dict[str, Needs] = {tier: Needs(list(tiers.of(tier).approvals.roles), tiers.of(tier).approvals.people) for tier in RISK_TIERS}
    return ApprovalRules(people, needs, round(approvers.expires_after.total_seconds()))


def release_files(
    access: AccessPolicy, approvers: Approvers, rules: ApprovalRules, statements: Mapping[str, bytes], revoked: RevokedReleases
) -> Iterator[Compiled]:
    """ConfigMaps of every domain. statements: file's name → bytes, those that are good now."""
    data = {RULES: rules.to_json()} | {name: content.decode() for name, content in sorted(statements.items())}
    source = "policies/approvals.yaml, policies/risk-tiers.yaml and policies/approvals"
    listed = {"revocations.json": json.dumps(json.loads(revoked.compiled()), indent=2) + "\n"}
    for domain, namespace in access.domains.items():
        because = f"{approvers.title}. {approvers.rationale} Kept with the platform, not with the models: who may approve is never decided by what is judged."
        yield Compiled(domain, (approvers.id,), because, manifest("v1", "ConfigMap", APPROVALS, namespace, data=data), source)
        gone = manifest("v1", "ConfigMap", REVOCATIONS, namespace, data=listed)
        yield Compiled(domain, (revoked.id,), f"{revoked.title}. {revoked.rationale}", gone, "policies/revocations.yaml")
