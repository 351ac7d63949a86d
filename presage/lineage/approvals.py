"""Who approved a release, in force at a moment: the statements in Git then, judged by the policies of then."""

from datetime import datetime
from pathlib import Path

from presage.errors import ArtifactRefused
from presage.governance.repository import Policies
from presage.lineage.history import History
from presage.lineage.page import Approval, Approvals, Commit, Missing
from presage.package.approvals import PREDICATE, Subject, check, examine
from presage.package.approvals import Approval as Stated
from presage.package.statement import named_subject, parse_statement, unverified_payload


def read_approvals(policies: Policies, subject: Subject, history: History, commit: Commit, then: datetime) -> tuple[Approvals | None, list[Missing]]:
    """policies: of `commit`; then: the answer's time."""
    rules = policies.approvals.rules
    needs = rules.tiers.get(subject.tier)
    if needs is None:
        return None, [Missing("approvals", "what its tier asks for", f"policies/risk-tiers.yaml at {commit.id[:12]} does not speak of tier {subject.tier!r}")]
    given, missing = [], []
    for path, content in policies.statements.items():
        if not _about(content, subject):
            continue
        refused = None
        try:
            examine(rules, Path(path).name, content, subject, then)
        except ArtifactRefused as error:
            refused = error.message
        said = _said(content)
        if said is None:
            missing.append(Missing("approvals", f"what {path} says", "it is no statement that can be read"))
            continue
        given.append(Approval(said.approver, said.role, said.issued, said.expires, refused, history.bringing(path, commit.id), path))
    lacking = None
    try:
        check(policies.approvals, subject, then)
    except ArtifactRefused as error:
        lacking = error.message
    source = f"policies/approvals at {commit.id[:12]}, judged by policies/approvals.yaml and policies/risk-tiers.yaml of that commit"
    return Approvals(subject.tier, list(needs.roles), needs.people, given, lacking, source), missing


def _about(content: bytes, subject: Subject) -> bool:
    """Whether it claims this name or this digest: one of another digest under this name is worth telling."""
    named = named_subject(content)
    return named is not None and (named[0] == subject.name or named[1] == subject.digest)


def _said(content: bytes) -> Stated | None:
    """A statement's own words, whoever signed it: who is believed is told beside."""
    try:
        return parse_statement(unverified_payload(content), Stated, PREDICATE, "the statement").predicate
    except (ValueError, ArtifactRefused):
        return None
