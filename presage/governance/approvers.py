"""`policies/approvals.yaml`: who may approve a release, in which role, under which key, and how long an approval is good.

    policy = load_approvers(Path("policies/approvals.yaml"))
    policy.holder(key_id)                  the person whose key that is, or None
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints, TypeAdapter

from presage.documents import parse_as
from presage.errors import InputError, PresageError
from presage.files import read_text
from presage.governance.document import Document, Duration, Id, Sentence
from presage.governance.tiers import RISK_TIERS, RiskTiers, Role
from presage.package.keys import TrustedKey, parse_public

PersonId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Person(Document):
    """id: how approvals call them; key: PEM of the public half of what they approve with; composes_with: ids of keys they sign releases with."""

    id: PersonId
    roles: tuple[Role, ...]
    key: str
    composes_with: tuple[KeyId, ...] = ()

    @property
    def public(self) -> TrustedKey:
        return parse_public(self.id, self.key.encode())


class Approvers(Document):
    """See policies/approvals.yaml, which explains itself. The two rules of separation are stated there, and cannot be switched off."""

    id: Id
    title: Sentence
    owner: Sentence
    rationale: Sentence
    roles: dict[Role, Sentence]
    expires_after: Duration
    author_may_approve: Literal[False]
    one_person_one_approval: Literal[True]
    people: tuple[Person, ...]

    def person(self, id: str) -> Person | None:
        return next((person for person in self.people if person.id == id), None)

    def holder(self, key_id: str) -> Person | None:
        """The person whose approving key has this id."""
        return next((person for person in self.people if person.public.id == key_id), None)


def load_approvers(path: Path, tiers: RiskTiers | None = None) -> Approvers:
    """tiers: whose roles must exist. Raises InputError naming file, key, value and remedy."""
    return parse_approvers(read_text(path, "policy of approvals", "Write one, starting from policies/approvals.yaml."), str(path), tiers)


def parse_approvers(text: str, where: str, tiers: RiskTiers | None = None) -> Approvers:
    """From its YAML text; `where` names its place in errors."""
    policy = parse_as(TypeAdapter(Approvers), text, where)
    known: dict[str, str] = {}
    for position, person in enumerate(policy.people):
        at = f"{where}: people.{position}"
        if unknown := [role for role in person.roles if role not in policy.roles]:
            raise InputError(f"{at}.roles of {person.id} has {unknown[0]!r}, and the roles are {', '.join(policy.roles)}. Name one of those, or describe it.")
        try:
            key_id = person.public.id
        except PresageError as error:
            raise InputError(f"{at}.key of {person.id}: {error.message}") from None
        if key_id in known:
            raise InputError(f"{at}.key of {person.id} is that of {known[key_id]}, too. Each person has a key of their own.")
        if key_id in person.composes_with:
            raise InputError(f"{at}.composes_with of {person.id} holds the key they approve with. Use two keys: one signs releases, one approves.")
        if person.id in known.values():
            raise InputError(f"{at}.id: {person.id} is there twice. Give each person one entry.")
        known[key_id] = person.id
    if tiers is not None:
        for tier in RISK_TIERS:
            if unknown := [role for role in tiers.of(tier).approvals.roles if role not in policy.roles]:
                raise InputError(f"{where}: roles does not describe {unknown[0]!r}, which tier {tier} needs (policies/risk-tiers.yaml). Describe it.")
    return policy
