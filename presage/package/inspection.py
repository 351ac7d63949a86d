"""What lies in a store under a release's name, without opening it: documents, signer, sealing. Nothing is loaded from what this says."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from presage.errors import ArtifactRefused
from presage.package.dsse import named_signer
from presage.package.fetching import Fetched
from presage.package.keys import Trust
from presage.package.layout import RELEASE, RELEASE_SIGNATURE
from presage.package.reference import Reference
from presage.package.release import ContractName, Member, ReleaseDocument
from presage.package.store import ReleaseStore
from presage.package.verification import check_approvals, check_documents


@dataclass(frozen=True)
class Signer:
    """key: its id; owner: as it is trusted here, or None; refused: why the documents do not pass here, or None."""

    key: str
    owner: str | None
    refused: str | None


@dataclass(frozen=True)
class ShownMember:
    """bytes: of its files, as far as they are stored in the clear; None where some are sealed."""

    role: str
    model: str
    family: str
    package: str
    files: list[str]
    bytes: int | None


@dataclass(frozen=True)
class ShownRelease:
    """key_version: of the transit key that wrapped the data key; None where nothing is sealed."""

    uri: str
    store: str
    created: str
    tier: Literal["low", "medium", "high"]
    contract: ContractName
    ladder: list[str]
    members: list[ShownMember]
    signer: Signer
    sealed: bool
    key_version: int | None


def show(reference: Reference, store: ReleaseStore, trust: Trust | None) -> ShownRelease:
    """trust: whose signatures count here; None: nobody's. Raises ArtifactRefused where the store has no such release, or what it has is none."""
    reference = store.pin(reference)
    fetched = store.fetch(reference)
    content = fetched.contents.get(RELEASE)
    if content is None:
        raise ArtifactRefused("format", f"{store}: {reference} has no {RELEASE}. Publish it again.")
    document = ReleaseDocument.from_json(content)
    return ShownRelease(
        uri=str(reference),
        store=str(store),
        created=document.created,
        tier=document.tier,
        contract=document.contract,
        ladder=list(document.ladder),
        members=[_member(member, fetched) for member in document.members],
        signer=_signer(fetched, reference, trust),
        sealed=bool(fetched.sealed.files),
        key_version=fetched.sealed.sealing.key_version if fetched.sealed.sealing else None,
    )


def _signer(fetched: Fetched, reference: Reference, trust: Trust | None) -> Signer:
    """The gate's steps over documents, as far as they go without a key."""
    key = named_signer(fetched.contents.get(RELEASE_SIGNATURE, b""))
    known = trust.find(key) if trust else None
    try:
        documents = check_documents(fetched.contents, trust or Trust({}), reference)
        check_approvals(documents, None, datetime.now(UTC))
    except ArtifactRefused as refused:
        return Signer(key, known.owner if known else None, f"{refused.reason}: {refused.message}")
    return Signer(key, documents.key.owner, None)


def _member(member: Member, fetched: Fetched) -> ShownMember:
    paths = [f"packages/{member.hex}/{name}" for name in member.files]
    readable = [len(fetched.contents[path]) for path in paths if path in fetched.contents]
    size = sum(readable) if len(readable) == len(paths) else None
    return ShownMember(member.role, member.model, member.family, member.package, sorted(member.files), size)
