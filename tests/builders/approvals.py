"""A repository's policies with people who may approve, a release above tier low, and approvals of it: good ones, and every kind of bad."""

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from builders.releases import World, parts, policy, world
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from presage.documents import read_commented, write_commented
from presage.files import write_bytes
from presage.governance.repository import STATEMENTS, Policies
from presage.package.approvals import SUFFIX, Approval, Subject, sign_approval
from presage.package.keys import SigningKey, Trust, read_key
from presage.package.store import Published
from presage.package.verification import check_documents

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC).replace(microsecond=0)
PEOPLE = {"risk-officer": ["model-risk"], "auditor": ["compliance"], "counsel": ["legal"], "all-hats": ["model-risk", "compliance"]}


def new_key(path: Path) -> SigningKey:
    private = ec.generate_private_key(ec.SECP256R1())
    write_bytes(path, private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return read_key(path)


def change_yaml(path: Path, change) -> None:
    document = read_commented(path.read_text(), str(path))
    change(document)
    path.write_text(write_commented(document))


@dataclass(frozen=True)
class Governed:
    """root: a checkout's policies (and manifests). keys: of the people. published: incident:2, of tier `tier`, signed by `author`."""

    root: Path
    tier: str
    made: World
    author: SigningKey
    keys: dict[str, SigningKey]
    published: Published

    @property
    def policies(self) -> Policies:
        return Policies.read(self.root)

    @property
    def trust(self) -> Trust:
        return Trust.of([self.author.public])

    def subject(self) -> Subject:
        contents = self.made.store.fetch(self.published.reference).contents
        return check_documents(contents, self.trust, self.published.reference).subject

    def approval(self, person: str, role: str | None = None, **instead: str) -> Approval:
        """A good one, but for what is said instead."""
        subject = self.subject()
        good = Approval(
            role=role or PEOPLE[person][0], approver=person, decision="approve", tier=self.tier, author=self.author.id, contract=str(subject.contract),
            card=str(subject.card), evaluation=str(subject.evaluation), issued=NOW.isoformat(), expires=(NOW + timedelta(days=90)).isoformat(),
        )  # fmt: skip
        return Approval(**{**{name: getattr(good, name) for name in good.__struct_fields__}, **instead})

    def sign(self, approval: Approval, key: SigningKey | None = None, **subject: str) -> Path:
        """Put a statement into the repository. key: default the approver's own; subject: what it says it is about."""
        about = replace(self.subject(), **subject)
        content = sign_approval(about, approval, key or self.keys[approval.approver])
        return self.put(f"incident-2-{approval.role}-{approval.approver}{SUFFIX}", content)

    def put(self, name: str, content: bytes) -> Path:
        path = self.root / STATEMENTS / "incident" / name
        write_bytes(path, content)
        return path


def governed(root: Path, tier: str = "high") -> Governed:
    """The repository's own policies with people in it, its model raised to `tier`, and one release of that tier."""
    checkout = root / "checkout"
    shutil.copytree(ROOT / "policies", checkout / "policies")
    made = world(root / "site")
    author = new_key(root / "author" / "release.key")
    keys = {person: new_key(root / "people" / f"{person}.key") for person in PEOPLE}
    people = [{"id": name, "roles": roles, "key": keys[name].public.pem.decode()} for name, roles in PEOPLE.items()]
    change_yaml(checkout / "policies" / "approvals.yaml", lambda document: document.update(people=people))
    change_yaml(checkout / "policies" / "models" / "incident.yaml", lambda document: document.update(risk_tier=tier, journal="disk", explanation="always"))
    raised = policy().model_copy(update={"risk_tier": tier, "journal": "disk", "explanation": "always"})
    signed = replace(made, key=author, trust=Trust.of([author.public]))
    published = signed.publish({"primary": parts(seed=3)}, by=raised)
    return Governed(checkout, tier, signed, author, keys, published)
