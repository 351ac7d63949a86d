"""The policies of one repository, read and held against each other.

    policies = Policies.read(root)              # root: the folder that holds policies/
    policies.models["incident"].risk_tier
    policies.approved(now)                      # digests that are approved as their tiers ask, and what is wrong with the rest
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from presage.errors import ArtifactRefused, InputError
from presage.governance.access import AccessPolicy, load_access_policy
from presage.governance.approvers import Approvers, load_approvers
from presage.governance.model_policy import ModelPolicy, load_model_policy
from presage.governance.release_files import approval_rules
from presage.governance.retention.policy import RetentionPolicy, check_regions, load_retention
from presage.governance.retention.terms import Terms
from presage.governance.revoked import RevokedReleases, load_revoked
from presage.governance.rollout import Rollout, load_rollout
from presage.governance.tiers import RiskTiers, load_risk_tiers
from presage.package.approvals import LIMIT, SUFFIX, Approvals, Approved, Subject, check, examine
from presage.package.statement import named_subject

STATEMENTS = "policies/approvals"


@dataclass(frozen=True)
class Judged:
    """One release that somebody approved. enough: its approvals, where they suffice; refused: why they do not."""

    subject: Subject
    enough: tuple[Approved, ...]
    refused: str


@dataclass(frozen=True)
class Policies:
    """statements: path in the repository → bytes of every signed approval."""

    access: AccessPolicy
    tiers: RiskTiers
    approvers: Approvers
    revoked: RevokedReleases
    rollout: Rollout
    retention: RetentionPolicy
    models: Mapping[str, ModelPolicy]
    statements: Mapping[str, bytes]

    @classmethod
    def read(cls, root: Path) -> "Policies":
        """Raises InputError naming file, key, value and remedy."""
        folder = root / "policies"
        access, tiers = load_access_policy(folder / "access.yaml"), load_risk_tiers(folder / "risk-tiers.yaml")
        rollout = load_rollout(folder / "rollout.yaml")
        if unknown := [domain for domain in rollout.order if domain not in access.domains]:
            raise InputError(f"{folder / 'rollout.yaml'}: order names {unknown[0]!r}, and the domains are {', '.join(access.domains)}. Name one of those.")
        models = {path.stem: load_model_policy(path) for path in sorted((folder / "models").glob("*.yaml"))}
        for name, policy in models.items():
            if policy.name != name:
                raise InputError(f"{folder / 'models' / f'{name}.yaml'}: name is {policy.name}. A policy's file is called as its model is.")
        retention = load_retention(folder / "retention.yaml")
        check_regions(retention, {name: policy.region for name, policy in models.items()}, str(folder / "retention.yaml"))
        return cls(
            access, tiers, load_approvers(folder / "approvals.yaml", tiers), load_revoked(folder / "revocations.yaml"), rollout, retention, models,
            _statements(root),
        )  # fmt: skip

    @cached_property
    def releases(self) -> dict[str, ModelPolicy]:
        """Name of a release → the policy of its model."""
        return {name: policy for policy in self.models.values() for name in (policy.name, *policy.also_releases)}

    @cached_property
    def retention_terms(self) -> Terms:
        return Terms.of(self.retention, self.releases)

    @cached_property
    def approvals(self) -> Approvals:
        return Approvals(approval_rules(self.approvers, self.tiers), {Path(path).name: content for path, content in self.statements.items()})

    def judged(self, now: datetime) -> Iterator[Judged]:
        """Every release that some statement speaks of, by the tier of its model as it is declared today."""
        subjects = dict.fromkeys(named for content in self.statements.values() if (named := named_subject(content)) is not None)
        for name, digest in subjects:
            policy = self.releases.get(name.partition(":")[0])
            if policy is None:
                yield Judged(Subject(name, digest, ""), (), f"{name} is approved, and no policy in policies/models names such a release. Remove the approval.")
                continue
            subject = Subject(name, digest, policy.risk_tier)
            try:
                yield Judged(subject, tuple(check(self.approvals, subject, now)), "")
            except ArtifactRefused as error:
                yield Judged(subject, (), error.message)

    def faults(self, now: datetime) -> Iterator[tuple[str, str]]:
        """(path, sentence) of each statement that is not good."""
        for path, content in self.statements.items():
            named = named_subject(content)
            if named is None:
                yield path, "is no signed approval of a release"
                continue
            policy = self.releases.get(named[0].partition(":")[0])
            try:
                found = examine(self.approvals.rules, Path(path).name, content, Subject(*named, policy.risk_tier if policy else ""), now)
            except ArtifactRefused as error:
                yield path, error.message
            else:
                if found is None:
                    yield path, "is about nothing that it names"

    def good_statements(self, now: datetime) -> dict[str, bytes]:
        """File's name → bytes of those that are good now: what gates are given."""
        bad = {path for path, _ in self.faults(now)}
        return {Path(path).name: content for path, content in self.statements.items() if path not in bad}

    def approved(self, now: datetime) -> dict[str, str]:
        """Digest → `incident:7` of every release that is approved as its tier asks."""
        return {one.subject.digest: one.subject.name for one in self.judged(now) if one.enough}


def _statements(root: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted((root / STATEMENTS).rglob(f"*{SUFFIX}")):
        found[path.relative_to(root).as_posix()] = path.read_bytes()[: LIMIT + 1]
    names = [Path(path).name for path in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{root / STATEMENTS}: {twice} is there twice. A statement's file is called MODEL-VERSION-ROLE-PERSON{SUFFIX}.")
    return found
