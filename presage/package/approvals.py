"""Approvals of a release: signed statements, and whether they suffice.

    statement = sign_approval(Approval(...), key)                 # policies/approvals/incident/7-compliance-….dsse.json
    rules = ApprovalRules.from_json(content)                      # who holds which role, what each tier needs: compiled from policies/
    check(rules, statements, subject, now)                        # raises ArtifactRefused("approval")

The gate, the server, `presage verify` and the compiler of the admission policy ask this one function. A statement is an in-toto statement in
a DSSE envelope (ECDSA P-256). It is bound to everything that was looked at: the release's digest, and with it its contract, card and evaluation.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from presage.errors import ArtifactRefused
from presage.package.dsse import IN_TOTO, Signer, sign
from presage.package.dsse import verify as verify_envelope
from presage.package.keys import Trust, TrustedKey, parse_public
from presage.package.release import ReleaseDocument
from presage.package.statement import named_subject, parse_statement, statement

PREDICATE = "https://presage.io/approval/v1"
RULES = "rules.json"
SUFFIX = ".dsse.json"
LIMIT = 64 << 10
"""Bytes of a statement, and of the rules."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Approval(_Strict, frozen=True):
    """role, approver: who says yes, as policies/approvals.yaml calls them; author: id of the key that signed the release; contract, card,
    evaluation: `sha256:<hex>` of the primary's; issued, expires: RFC 3339, UTC."""

    role: str
    approver: str
    decision: Literal["approve"]
    tier: str
    author: str
    contract: str
    card: str
    evaluation: str
    issued: str
    expires: str


@dataclass(frozen=True)
class Subject:
    """What is to be approved: everything that a statement must be about. name: `incident:7`; authors: ids of the keys that signed release and packages.

    contract, card, evaluation and authors are None where nobody looked into the release: then a statement's own words about them are not compared.
    """

    name: str
    digest: str
    tier: str
    contract: str | None = None
    card: str | None = None
    evaluation: str | None = None
    authors: frozenset[str] | None = None

    @classmethod
    def of(cls, document: ReleaseDocument, digest: str, authors: Iterable[str]) -> "Subject":
        """Of a release's document. digest: `sha256:<hex>` of it."""
        files = next(member.files for member in document.members if member.role == "primary")
        name = f"{document.name}:{document.version}"
        contract, card, evaluation = (f"sha256:{files[file]}" for file in ("contract.json", "card.md", "metrics.json"))
        return cls(name, digest, document.tier, contract, card, evaluation, frozenset(authors))


class Approver(_Strict, frozen=True):
    """pem: of the key they approve with; composes_with: ids of the keys they sign releases with."""

    roles: list[str]
    pem: str
    composes_with: list[str] = []


class Needs(_Strict, frozen=True):
    roles: list[str]
    people: int


class ApprovalRules(_Strict, frozen=True):
    """What gates and servers read: compiled from policies/approvals.yaml and policies/risk-tiers.yaml. expires_after: seconds."""

    people: dict[str, Approver]
    tiers: dict[str, Needs]
    expires_after: int
    schema: str = "presage.approvals/v1"

    @classmethod
    def from_json(cls, content: bytes, where: str = RULES) -> "ApprovalRules":
        """Raises ArtifactRefused("approval"): rules that cannot be read let nothing in."""
        try:
            return msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ArtifactRefused("approval", f"{where}: not the rules of approval ({error}). Compile them again: presage policies render.") from None

    def to_json(self) -> str:
        return json.dumps(msgspec.to_builtins(self), indent=2) + "\n"


@dataclass(frozen=True)
class Approved:
    """A statement that was checked: who, in which role, under which key. file: where it lies."""

    file: str
    approval: Approval
    key: TrustedKey


@dataclass(frozen=True)
class Approvals:
    """The rules and the statements that a Pod has, or a repository. statements: file's name → bytes."""

    rules: ApprovalRules
    statements: Mapping[str, bytes]

    @classmethod
    def open(cls, folder: Path) -> "Approvals":
        """A mounted folder: `rules.json` and `*.dsse.json`. One that is configured and cannot be read lets nothing in."""
        try:
            rules = (folder / RULES).read_bytes()
            statements = {path.name: path.read_bytes()[: LIMIT + 1] for path in sorted(folder.iterdir()) if path.name.endswith(SUFFIX)}
        except OSError as error:
            raise ArtifactRefused("approval", f"{folder}: the approvals cannot be read ({error.strerror}). Mount them, or unset the setting.") from None
        return cls(ApprovalRules.from_json(rules, str(folder / RULES)), statements)


def sign_approval(subject: Subject, approval: Approval, signer: Signer) -> bytes:
    """The envelope, as canonical JSON."""
    return sign(statement(subject.name, subject.digest, PREDICATE, approval), IN_TOTO, signer)


def check(approvals: Approvals, subject: Subject, now: datetime) -> list[Approved]:
    """The approvals that count, once they suffice for the release's tier. Raises ArtifactRefused("approval") with every reason there is.

    A statement about another release is none of this one's, and no fault. One that claims to be about this release and is not good is left
    out and said: it was not put there by chance.
    """
    needs = approvals.rules.tiers.get(subject.tier)
    if needs is None:
        raise ArtifactRefused("approval", f"{subject.name} has tier {subject.tier[:40]!r}, of which the policy says nothing. Describe it in risk-tiers.yaml.")
    if not needs.roles and not needs.people:
        return []
    good: list[Approved] = []
    faults: list[str] = []
    for file, content in approvals.statements.items():
        try:
            found = examine(approvals.rules, file, content, subject, now)
        except ArtifactRefused as error:
            faults.append(error.message)
            continue
        if found is not None:
            good.append(found)
    lacking = list(_lacking(needs, good))
    if lacking:
        why = f" Not counted: {' '.join(faults)}" if faults else ""
        raise ArtifactRefused(
            "approval", f"{subject.name} has tier {subject.tier} and is not approved: {', '.join(lacking)}.{why} Have it approved: presage release approve."
        )
    return good


def examine(rules: ApprovalRules, file: str, content: bytes, subject: Subject, now: datetime) -> Approved | None:
    """One statement: None where it is about another release. Raises ArtifactRefused("approval") where it claims to be about this one and is not good."""
    try:
        signed = verify_envelope(content, IN_TOTO, _trust(rules), file)
    except ArtifactRefused as error:
        if not _claims(content, subject):
            return None
        raise ArtifactRefused("approval", error.message) from None
    try:
        stated = parse_statement(signed.payload, Approval, PREDICATE, file)
    except ArtifactRefused as error:
        raise ArtifactRefused("approval", error.message) from None
    approval = stated.predicate
    if stated.name != subject.name and stated.digest != subject.digest:
        return None
    if (stated.name, stated.digest) != (subject.name, subject.digest):
        raise ArtifactRefused("approval", f"{file} approves {stated.name[:60]} {stated.digest[:19]}…, and this is {subject.name} {subject.digest[:19]}….")
    if wrong := _against(rules, file, approval, signed.key, subject, now):
        raise ArtifactRefused("approval", f"{wrong}.")
    return Approved(file, approval, signed.key)


def _against(rules: ApprovalRules, file: str, approval: Approval, key: TrustedKey, subject: Subject, now: datetime) -> str:  # noqa: PLR0917
    """What speaks against a genuine statement about this release; empty: nothing."""
    person = rules.people[key.owner]
    if approval.approver != key.owner:
        return f"{file} speaks for {approval.approver[:40]!r} under the key of {key.owner}"
    if approval.role not in person.roles:
        return f"{file}: {key.owner} does not hold the role {approval.role[:40]!r}"
    if approval.tier != subject.tier:
        return f"{file} approves it for tier {approval.tier[:40]}, and it has tier {subject.tier}"
    for what in ("contract", "card", "evaluation"):
        given, found = getattr(approval, what), getattr(subject, what)
        if found is not None and given != found:
            return f"{file} approves another {what} ({given[:19]}…, the release has {found[:19]}…)"
    authors = {approval.author} if subject.authors is None else subject.authors
    if subject.authors is not None and approval.author not in subject.authors:
        return f"{file} names another author than the key that signed the release"
    if key.id in authors or authors & set(person.composes_with):
        return f"{file}: {key.owner} signed the release, and nobody approves their own"
    issued, expires = _moment(approval.issued), _moment(approval.expires)
    if issued is None or expires is None:
        return f"{file} does not say from when until when it is good (RFC 3339, UTC)"
    if expires - issued > timedelta(seconds=rules.expires_after):
        return f"{file} is good for {(expires - issued).days} days, and an approval is for {rules.expires_after // 86400} at most"
    if now < issued - timedelta(minutes=5):
        return f"{file} is from {approval.issued}, which is not yet"
    if now >= expires:
        return f"{file} ended at {approval.expires}"
    return ""


def _lacking(needs: Needs, good: list[Approved]) -> Iterator[str]:
    """Each role must be filled, by different people: one person's several approvals count for one role."""
    roles: dict[str, set[str]] = {}
    for one in good:
        roles.setdefault(one.approval.role, set()).add(one.approval.approver)
    for role in needs.roles:
        if role not in roles:
            yield f"nobody has approved it as {role}"
    people = {one.approval.approver for one in good}
    if all(role in roles for role in needs.roles) and not _matched(needs.roles, roles):
        yield f"the roles {', '.join(needs.roles)} were filled by {len(people)} person{'' if len(people) == 1 else 's'}, and each needs one of its own"
    elif len(people) < needs.people:
        yield f"{len(people)} of {needs.people} people have approved it"


def _matched(needed: list[str], roles: Mapping[str, set[str]]) -> bool:
    """Whether each role can have a person of its own (augmenting paths; a handful of either)."""
    taken: dict[str, str] = {}

    def place(role: str, seen: set[str]) -> bool:
        for person in roles.get(role, ()):
            if person not in seen:
                seen.add(person)
                if person not in taken or place(taken[person], seen):
                    taken[person] = role
                    return True
        return False

    return all(place(role, set()) for role in needed)


def _trust(rules: ApprovalRules) -> Trust:
    return Trust.of(parse_public(name, person.pem.encode(), f"the key of {name}") for name, person in rules.people.items())


def _claims(content: bytes, subject: Subject) -> bool:
    """Whether a statement that cannot be trusted says it is about this release: then its fault is worth saying. One that says nothing may be."""
    named = named_subject(content)
    return named is None or subject.name == named[0] or subject.digest == named[1]


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None
