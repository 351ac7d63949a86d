"""Approving a release: looked at as the gate will, then said so under a key, into policies/approvals.

    made = approve(root, reference, store, trust, role="compliance", signer=key, now=datetime.now(UTC))
    made.path, made.lacking
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from presage.errors import ArtifactRefused, InputError
from presage.files import write_bytes
from presage.governance.repository import STATEMENTS, Policies
from presage.package.approvals import SUFFIX, Approval, Subject, check, examine, sign_approval
from presage.package.dsse import Signer
from presage.package.keys import Trust
from presage.package.reference import Reference
from presage.package.store import ReleaseStore
from presage.package.verification import Documents, check_documents


@dataclass(frozen=True)
class Made:
    """path: of the statement. lacking: what the tier still asks for, empty where nothing."""

    path: Path
    approval: Approval
    subject: Subject
    lacking: str


def look(reference: Reference, store: ReleaseStore, trust: Trust) -> Documents:
    """Check document, signatures and contracts as the gate does; nothing sealed is opened. Raises ArtifactRefused."""
    return check_documents(store.fetch(store.pin(reference)).contents, trust, reference)


def approve(
    root: Path, reference: Reference, store: ReleaseStore, trust: Trust, *, role: str, signer: Signer, now: datetime, lasts: timedelta | None = None,
) -> Made:  # fmt: skip
    """Write the statement into `root`/policies/approvals. lasts: default, and at most, what policies/approvals.yaml says.

    Raises InputError where the key is nobody's or does not hold the role, ArtifactRefused where the release would not pass or the approval would not
    count; then nothing is written.
    """
    policies = Policies.read(root)
    person = policies.approvers.holder(signer.id)
    if person is None:
        raise InputError(f"the key {signer.id[:16]}… is nobody's in policies/approvals.yaml. Have yourself entered there (people), with its public half.")
    looked = look(reference, store, trust)
    subject, document = looked.subject, looked.document
    policy = policies.releases.get(document.name)
    if policy is None:
        raise InputError(f"no policy in policies/models speaks of {document.name}. Write one: it says what the model is for and which tier it has.")
    if policy.risk_tier != document.tier:
        raise InputError(
            f"{subject.name} was composed for tier {document.tier}, and {policy.name} has tier {policy.risk_tier} now. Compose it again."
        )
    longest = policies.approvers.expires_after
    if lasts is not None and not timedelta(0) < lasts <= longest:
        raise InputError(f"an approval cannot last {lasts}; policies/approvals.yaml says {longest.days} days at most. Give less.")
    moment = now.replace(microsecond=0)
    approval = Approval(
        role=role, approver=person.id, decision="approve", tier=document.tier, author=looked.key.id, contract=str(subject.contract), card=str(subject.card),
        evaluation=str(subject.evaluation), issued=moment.isoformat(), expires=(moment + (lasts or longest)).isoformat(),
    )  # fmt: skip
    content = sign_approval(subject, approval, signer)
    name = f"{document.name}-{document.version}-{role}-{person.id}{SUFFIX}"
    examine(policies.approvals.rules, name, content, subject, now)  # it counts, or it is not written
    path = root / STATEMENTS / document.name / name
    write_bytes(path, content)
    path.chmod(0o644)
    return Made(path, approval, subject, _lacking(root, subject, now))


def _lacking(root: Path, subject: Subject, now: datetime) -> str:
    try:
        check(Policies.read(root).approvals, subject, now)
    except ArtifactRefused as error:
        return error.message
    return ""
