"""The release that answered and the package in it, as a store has them: members, origin, evaluation, card. Nothing is loaded and nothing sealed is opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from presage.errors import ArtifactRefused, PresageError
from presage.files import sha256_bytes
from presage.lineage.page import Answer, Card, Evaluation, Member, Missing, Origin, Part, Release
from presage.package.approvals import Subject
from presage.package.dsse import named_signer
from presage.package.keys import Trust
from presage.package.layout import RELEASE, RELEASE_SIGNATURE
from presage.package.reference import Reference
from presage.package.release import Member as ReleaseMember
from presage.package.release import ReleaseDocument
from presage.package.store import ReleaseStore
from presage.package.verification import check_documents


@dataclass(frozen=True)
class Packaged:
    """release, origin, evaluation, card: None where they could not be read. subject: what an approval must be about, whole where the documents pass."""

    release: Release | None
    origin: Origin | None
    evaluation: Evaluation | None
    card: Card | None
    document: ReleaseDocument | None
    subject: Subject | None
    missing: list[Missing]

    @property
    def packages(self) -> list[str]:
        """Digests of all its members."""
        return [member.package for member in self.release.members] if self.release else []


def read_packaged(answer: Answer, store: ReleaseStore, trust: Trust | None) -> Packaged:
    """By the digest in the log. trust: whose signatures count here; None: nobody's."""
    name = f"{answer.model}:{answer.version}"
    try:
        reference = store.pin(Reference(answer.model, int(answer.version), answer.release))
        fetched = store.fetch(reference)
        content = fetched.contents.get(RELEASE, b"")
        if f"sha256:{sha256_bytes(content)}" != answer.release:
            raise ArtifactRefused("digest", f"{store}: the document of {reference} is another one. Fetch the release from where it was published.")
        document = ReleaseDocument.from_json(content)
    except (PresageError, ValueError) as error:
        because = error.message if isinstance(error, PresageError) else f"{name} is no release's name"
        parts: list[tuple[Part, str]] = [
            ("release", f"release {name} {answer.release} and its members"), ("origin", "data snapshot and code"), ("evaluation", "the evaluation"),
            ("card", "the model card"),
        ]  # fmt: skip
        told = f"{because.rstrip('. ')}. --store names another store"
        return Packaged(None, None, None, None, None, None, [Missing(part, what, told) for part, what in parts])
    subject, signer, refused = _judged(fetched.contents, trust, reference, document, answer.release)
    member = next((one for one in document.members if one.id == answer.used), None)
    described = member or next(one for one in document.members if one.role == "primary")
    release = Release(
        uri=str(reference), created=document.created, tier=document.tier, contract=f"{document.contract.name} {document.contract.version}",
        key=named_signer(fetched.contents.get(RELEASE_SIGNATURE, b"")), signer=signer, refused=refused, sealed=bool(fetched.sealed.files),
        ladder=list(document.ladder), thresholds=dict(document.thresholds),
        members=[Member(one.id, one.model, one.family, one.package, one is member) for one in document.members], differs=None, source=f"store {store}",
    )  # fmt: skip
    missing: list[Missing] = []
    read = _Documents(fetched.contents, described, str(store), missing)
    return Packaged(release, read.origin(), read.evaluation(), read.card(), document, subject, missing)


def _judged(
    contents: Mapping[str, bytes], trust: Trust | None, reference: Reference, document: ReleaseDocument, digest: str
) -> tuple[Subject, str | None, str | None]:  # fmt: skip
    """What approvals must be about, as whom the signer is trusted, and why the documents do not pass here."""
    try:
        known = check_documents(contents, trust or Trust({}), reference)
    except ArtifactRefused as error:
        key = named_signer(contents.get(RELEASE_SIGNATURE, b""))
        owner = trust.find(key) if trust else None
        return Subject(f"{document.name}:{document.version}", digest, document.tier), owner.owner if owner else None, f"{error.reason}: {error.message}"
    local = document.tier != "low" and known.key.local
    return known.subject, known.key.owner, f"approval: it has tier {document.tier}, and the local key may sign tier low only" if local else None


@dataclass(frozen=True)
class _Documents:
    """Of one package, as far as they are in the clear. missing: what is not is added to it."""

    contents: Mapping[str, bytes]
    member: ReleaseMember
    store: str
    missing: list[Missing]

    def origin(self) -> Origin | None:
        content = self._read("lineage.json", "origin", "data snapshot and code")
        if content is None:
            return None
        found: dict[str, Any] = orjson.loads(content)
        data, features, policy = found.get("data", {}), found.get("features", {}), found.get("policy", {})
        for what, value in (("the data snapshot", data.get("digest")), ("the digest of the code", found.get("code")), ("the run", found.get("run_id"))):
            if value is None:
                because = f"lineage.json of {self.member.model} does not say it: a model that was not trained here may not know"
                self.missing.append(Missing("origin", what, because))
        return Origin(
            package=self.member.package, pipeline=found.get("pipeline"), run=found.get("run_id"), created=found.get("created"), seed=found.get("seed"),
            data=data.get("source"), digest=data.get("digest"), code=found.get("code"), lock=found.get("lock"), view=features.get("view"),
            view_version=features.get("version"), policy=policy.get("name"), policy_digest=policy.get("digest"), source=self._source("lineage.json"),
        )  # fmt: skip

    def evaluation(self) -> Evaluation | None:
        content = self._read("metrics.json", "evaluation", "the evaluation")
        return None if content is None else Evaluation(orjson.loads(content), f"sha256:{sha256_bytes(content)}", self._source("metrics.json"))

    def card(self) -> Card | None:
        content = self._read("card.md", "card", "the model card")
        return None if content is None else Card(content.decode(errors="replace"), f"sha256:{sha256_bytes(content)}", self._source("card.md"))

    def _read(self, name: str, part: Part, what: str) -> bytes | None:
        """The file, if it is the one that was released."""
        content = self.contents.get(f"packages/{self.member.hex}/{name}")
        if content is not None and sha256_bytes(content) == self.member.files.get(name):
            return content
        because = "does not hold it in the clear" if content is None else "holds another one than was released: it was changed"
        self.missing.append(Missing(part, what, f"{self.store}: package {self.member.package} {because}"))
        return None

    def _source(self, name: str) -> str:
        return f"{name} of package {self.member.package}"
