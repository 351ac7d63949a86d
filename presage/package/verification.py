"""The gate's order, over bytes in memory: one function a step, each able to refuse.

The gate runs it over what it read from a store, the server over what lies in its Pod; there is no other way to a model.
No parser of a model, an array or a contract sees a byte before the step that vouches for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from presage.errors import ArtifactRefused
from presage.files import sha256_bytes
from presage.package.approvals import Approvals, Subject
from presage.package.approvals import check as check_approved
from presage.package.contract import Contract
from presage.package.dsse import IN_TOTO, sign
from presage.package.dsse import verify as verify_envelope
from presage.package.keys import SigningKey, Trust, TrustedKey
from presage.package.layout import PACKAGE_FILES, RELEASE, RELEASE_SIGNATURE, check_format, kind_of
from presage.package.onnx_check import check_onnx
from presage.package.package import check_complete, check_model
from presage.package.reference import Reference, is_name
from presage.package.release import Member, Package, Release, ReleaseDocument, Route
from presage.package.revocation import Revocations
from presage.package.sealing import KeyWrapper, Sealed
from presage.package.signing import SIGNATURE_FILE, check_files, verify_bundle
from presage.package.statement import parse_statement, statement

_PREDICATE = "https://presage.io/release/v1"


class _Bundles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bundles: dict[str, str]


def sign_release(document: ReleaseDocument, bundles: Mapping[str, str], key: SigningKey) -> bytes:
    """`release.dsse.json`. bundles: package digest → SHA-256 hex of its model.sig."""
    digest = _digest(document.to_json())
    return sign(statement(f"{document.name}:{document.version}", digest, _PREDICATE, _Bundles(dict(bundles))), IN_TOTO, key)


def verify(
    contents: Mapping[str, bytes],
    trust: Trust,
    expected: Reference | None = None,
    revocations: Revocations | None = None,
    *,
    approvals: Approvals | None = None,
    approving: bool = True,
    now: datetime | None = None,
    sealed: Sealed | None = None,
    keys: KeyWrapper | None = None,
) -> Release:
    """Run every step over a release in Pod layout (path → bytes). Raises ArtifactRefused at the first that refuses.

    expected: what was asked for; None where only the signature says what this is. approvals: what is known here of them; approving: False where
    they are not the question yet (a release is composed before anybody can approve it); now: when they must be good (default: this moment).
    sealed: what came encrypted; keys: what opens it, asked only when all steps over documents have passed.
    """
    known = check_documents(contents, trust, expected)
    document, contracts = known.document, known.contracts
    if approving:
        check_approvals(known, approvals, now or datetime.now(UTC))
    check_revocations(document, contents, revocations)
    opened = decrypt(contents, sealed, keys)
    contents = {**contents, **opened}
    check_digests(contents, document)
    for path in opened:
        check_format(path, contents[path])
    packages: dict[str, Package] = {}
    for member in document.members:
        files = {name: contents[_path(member, name)] for name in member.files}
        check_model(member.model, contracts[member.id], check_onnx(files["model.onnx"]))
        packages[member.id] = Package(member, contracts[member.id], files)
    return Release(document, known.digest, known.key, packages)


@dataclass(frozen=True)
class Documents:
    """What a release says of itself, checked; nothing sealed was opened. digest: `sha256:<hex>`; signers: who signed its packages."""

    document: ReleaseDocument
    digest: str
    key: TrustedKey
    signers: tuple[TrustedKey, ...]
    contracts: Mapping[str, Contract]

    @property
    def subject(self) -> Subject:
        """What an approval must be about."""
        return Subject.of(self.document, self.digest, (self.key.id, *(key.id for key in self.signers)))


def check_documents(contents: Mapping[str, bytes], trust: Trust, expected: Reference | None = None) -> Documents:
    """The steps over documents, in the gate's order up to the approvals. Raises ArtifactRefused."""
    check_allowed(contents)
    document, bundles, key = check_release(contents, trust, expected)
    signers = check_bundles(contents, document, bundles, trust)
    return Documents(document, _digest(contents[RELEASE]), key, tuple(signers), check_contracts(contents, document))


def check_allowed(contents: Mapping[str, bytes]) -> None:
    """Size and format of every file, against the allow-list."""
    for path in (RELEASE, RELEASE_SIGNATURE):
        if path not in contents:
            raise ArtifactRefused("format", f"{path} is missing. Let the gate fetch the release.")
    for path, content in contents.items():
        kind_of(path)
        check_format(path, content)


def check_release(contents: Mapping[str, bytes], trust: Trust, expected: Reference | None) -> tuple[ReleaseDocument, Mapping[str, str], TrustedKey]:
    """The document's digest against what was asked for, and its signature against who is trusted; only then is it parsed.

    (document, package digest → SHA-256 hex of its bundle as the signer saw it, who signed).
    """
    content = contents[RELEASE]
    digest = _digest(content)
    if expected is not None and expected.digest is not None and digest != expected.digest:
        raise ArtifactRefused("digest", f"{expected} was asked for, but its document has the digest {digest}. Copy the release again.")
    signed = verify_envelope(contents[RELEASE_SIGNATURE], IN_TOTO, trust, RELEASE_SIGNATURE)
    stated = parse_statement(signed.payload, _Bundles, _PREDICATE, RELEASE_SIGNATURE)
    document = ReleaseDocument.from_json(content)
    name = f"{document.name}:{document.version}"
    if (stated.name, stated.digest) != (name, digest):
        raise ArtifactRefused("signature", f"{RELEASE_SIGNATURE} signs {stated.name[:100]!r} and not this {name}. Sign the release again.")
    if expected is not None and (document.name != expected.name or expected.version not in (None, document.version)):
        raise ArtifactRefused("digest", f"{expected} was asked for, but this is {name}. Ask for it by its own name.")
    _check_document(document)
    return document, stated.predicate.bundles, signed.key


def check_bundles(contents: Mapping[str, bytes], document: ReleaseDocument, bundles: Mapping[str, str], trust: Trust) -> list[TrustedKey]:
    """Each package's bundle: the one the release's signer saw, signed by a trusted key, listing what the document lists. Who signed them."""
    signers = []
    for member in document.members:
        content = contents.get(_path(member, SIGNATURE_FILE))
        if content is None:
            raise ArtifactRefused("signature", f"{member.model}: {SIGNATURE_FILE} is missing. Fetch the release again.")
        if bundles.get(member.package) != sha256_bytes(content):
            raise ArtifactRefused("signature", f"{member.model}: {SIGNATURE_FILE} is not the one this release was signed with. Fetch the release again.")
        signer, listed = verify_bundle(content, member.model, trust)
        signers.append(signer)
        check_files(member.model, listed, member.files)
    if bundles.keys() != {member.package for member in document.members}:
        raise ArtifactRefused("signature", f"{RELEASE_SIGNATURE} names packages that the release does not hold. Sign the release again.")
    return signers


def check_contracts(contents: Mapping[str, bytes], document: ReleaseDocument) -> dict[str, Contract]:
    """Each contract is the released one and parses; all members answer the same question from the same features."""
    contracts: dict[str, Contract] = {}
    for member in document.members:
        content = contents.get(_path(member, "contract.json"))
        if content is None or sha256_bytes(content) != member.files.get("contract.json"):
            raise ArtifactRefused("file-digest", f"{member.model}: contract.json is not what was released. Fetch the release again.")
        contracts[member.id] = Contract.from_json(content)
        check_complete(member.model, contracts[member.id], member.files.keys())
    primary = contracts["primary"]
    if (primary.name, primary.version) != (document.contract.name, document.contract.version):
        promised = f"{document.contract.name} {document.contract.version}"
        raise ArtifactRefused("contract", f"the release promises contract {promised}, its primary has {primary.name} {primary.version}. Compose it again.")
    check_same_contract(contracts)
    return contracts


def check_same_contract(contracts: Mapping[str, Contract]) -> None:
    """All members answer the primary's question; one that was released earlier may have an earlier minor version. Raises ArtifactRefused("contract")."""
    same = ("name", "major", "entity", "horizon", "feature_version")
    for role, contract in contracts.items():
        if any(getattr(contract, key) != getattr(contracts["primary"], key) for key in same):
            raise ArtifactRefused("contract", f"the {role} member answers another contract than the primary. Compose the release of members trained together.")


def check_approvals(known: Documents, approvals: Approvals | None, now: datetime) -> None:
    """What the release's tier asks for. Above low a key made in a state directory may not sign, and without rules nothing passes."""
    document = known.document
    if approvals is None and document.tier == "low":
        return
    what = f"{document.name}:{document.version} has tier {document.tier}"
    if document.tier != "low" and known.key.local:  # who signs a release vouches for its packages
        raise ArtifactRefused("approval", f"{what}; the local key may sign tier low only. Sign it with a release key.")
    if approvals is None:
        raise ArtifactRefused("approval", f"{what}, and no approvals are known here. Give them: PRESAGE_APPROVALS, or --approvals.")
    check_approved(approvals, known.subject, now)


def check_revocations(document: ReleaseDocument, contents: Mapping[str, bytes], revocations: Revocations | None) -> None:
    """Neither the release nor a package of it may be on the list."""
    if revocations is None:
        return
    for digest in (_digest(contents[RELEASE]), *(member.package for member in document.members)):
        if because := revocations.reason(digest):
            raise ArtifactRefused("revoked", f"{document.name}:{document.version} was revoked: {because} ({digest[:19]}…). Release another version.")


def decrypt(contents: Mapping[str, bytes], sealed: Sealed | None, keys: KeyWrapper | None) -> dict[str, bytes]:
    """The sealed files, opened by the key that was wrapped for this very release. Path → plaintext."""
    return sealed.open(keys, _digest(contents[RELEASE])) if sealed is not None else {}


def check_digests(contents: Mapping[str, bytes], document: ReleaseDocument) -> None:
    """Every file that is there is one the document lists, with its digest; every file it lists is there."""
    due: dict[str, str | None] = {RELEASE: None, RELEASE_SIGNATURE: None}  # checked by the steps before
    optional: dict[str, str] = {}
    for member in document.members:
        due[_path(member, SIGNATURE_FILE)] = None
        due |= {_path(member, name): digest for name, digest in member.files.items()}
        optional[f"triton/{member.model}/config.pbtxt"] = member.files["config.pbtxt"]
        optional[f"triton/{member.model}/1/model.onnx"] = member.files["model.onnx"]
    for path in due:
        if path not in contents:
            raise ArtifactRefused("file-digest", f"{path} is missing. Fetch the release again.")
    for path, content in contents.items():
        if path not in due and path not in optional:
            raise ArtifactRefused("file-digest", f"{path} is no part of {document.name}:{document.version}. Remove it, or fetch the release again.")
        digest = due[path] if path in due else optional[path]
        if digest is not None and sha256_bytes(content) != digest:
            raise ArtifactRefused("file-digest", f"{path} was changed after the release was signed. Fetch the release again.")


def _check_document(document: ReleaseDocument) -> None:
    """What a signature does not prove: that the document makes sense. Raises ArtifactRefused("contract")."""
    ids = [member.id for member in document.members]
    packages = [member.package for member in document.members]
    rungs = [*ids, "rules", "default"]
    risks = [document.default, *document.thresholds.values(), *(rule.risk for rule in document.rules)]
    wrong = (
        "a name that is none" if not is_name(document.name) or not all(is_name(member.model) for member in document.members)
        else "a version below 1" if document.version < 1
        else "no primary, or two members of one role" if "primary" not in ids or len(set(ids)) != len(ids)
        else "one model or package twice" if len(set(packages)) != len(packages) or len({member.model for member in document.members}) != len(ids)
        else "a package without digest" if any(_hex(package) is None for package in packages)
        else "a file that no package may hold" if any(name not in PACKAGE_FILES for member in document.members for name in member.files)
        else "a ladder that does not lead from primary to default" if document.ladder[:1] != ["primary"] or document.ladder[-1:] != ["default"]
        else "a rung that it does not have" if not set(document.ladder) <= set(rungs) or len(set(document.ladder)) != len(document.ladder)
        else "weights that are no shares of members" if document.weights and not _shares(document.weights, ids)
        else "a route to a member that it does not have, or without a condition" if not _routes(document.router, ids)
        else "a risk outside 0 to 1" if not all(0 <= risk <= 1 for risk in risks)
        else "thresholds other than watch < act < page" if not _rising(document.thresholds)
        else "a rule without exactly one of above, below" if any((rule.above is None) == (rule.below is None) for rule in document.rules)
        else None
    )  # fmt: skip
    if wrong:
        raise ArtifactRefused("contract", f"release.json of {document.name[:100]!r} has {wrong}. Compose the release again.")


def _routes(routes: list[Route], ids: list[str]) -> bool:
    return all(route.use and route.when and set(route.use) <= set(ids) for route in routes)


def _shares(weights: Mapping[str, float], ids: list[str]) -> bool:
    return weights.keys() <= set(ids) and all(weight > 0 for weight in weights.values()) and abs(sum(weights.values()) - 1.0) < 1e-6


def _rising(thresholds: Mapping[str, float]) -> bool:
    return thresholds.keys() == {"watch", "act", "page"} and thresholds["watch"] < thresholds["act"] < thresholds["page"]


def _digest(content: bytes) -> str:
    return f"sha256:{sha256_bytes(content)}"


def _hex(digest: str) -> str | None:
    name = digest.removeprefix("sha256:")
    return name if digest.startswith("sha256:") and len(name) == 64 and set(name) <= set("0123456789abcdef") else None


def _path(member: Member, name: str) -> str:
    return f"packages/{member.hex}/{name}"
