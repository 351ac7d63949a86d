"""The gate's order, over bytes in memory: one function a step, each able to refuse.

The gate runs it over what it read from a store, the server over what lies in its Pod; there is no other way to a model.
No parser of a model, an array or a contract sees a byte before the step that vouches for it.
"""

from collections.abc import Mapping

import msgspec

from presage.errors import ArtifactRefused
from presage.files import canonical_json, sha256_bytes
from presage.package.contract import Contract
from presage.package.dsse import IN_TOTO, Signed, sign
from presage.package.dsse import verify as verify_envelope
from presage.package.keys import SigningKey, Trust, TrustedKey
from presage.package.layout import PACKAGE_FILES, RELEASE, RELEASE_SIGNATURE, check_format, kind_of
from presage.package.onnx_check import check_onnx
from presage.package.package import check_complete, check_model
from presage.package.reference import Reference, is_name
from presage.package.release import Member, Package, Release, ReleaseDocument, Role
from presage.package.revocation import Revocations
from presage.package.sealing import KeyWrapper, Sealed
from presage.package.signing import SIGNATURE_FILE, check_files, verify_bundle

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://presage.io/release/v1"


class _Sha256(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str


class _Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    digest: _Sha256


class _Bundles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bundles: dict[str, str]


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str = msgspec.field(name="_type")
    predicate_type: str = msgspec.field(name="predicateType")
    subject: list[_Subject]
    predicate: _Bundles


def sign_release(document: ReleaseDocument, bundles: Mapping[str, str], key: SigningKey) -> bytes:
    """`release.dsse.json`. bundles: package digest → SHA-256 hex of its model.sig."""
    statement = {
        "_type": _STATEMENT,
        "predicateType": _PREDICATE,
        "subject": [{"name": f"{document.name}:{document.version}", "digest": {"sha256": sha256_bytes(document.to_json())}}],
        "predicate": {"bundles": dict(bundles)},
    }
    return sign(canonical_json(statement), IN_TOTO, key)


def verify(
    contents: Mapping[str, bytes],
    trust: Trust,
    expected: Reference | None = None,
    revocations: Revocations | None = None,
    *,
    sealed: Sealed | None = None,
    keys: KeyWrapper | None = None,
) -> Release:
    """Run every step over a release in Pod layout (path → bytes). Raises ArtifactRefused at the first that refuses.

    expected: what was asked for; None where only the signature says what this is. sealed: what came encrypted; keys: what opens it,
    asked only when all steps over documents have passed.
    """
    check_allowed(contents)
    document, statement, key = check_release(contents, trust, expected)
    check_bundles(contents, document, statement, trust)
    contracts = check_contracts(contents, document)
    check_approvals(document, key)
    check_revocations(document, contents, revocations)
    opened = decrypt(contents, sealed, keys)
    contents = {**contents, **opened}
    check_digests(contents, document)
    for path in opened:
        check_format(path, contents[path])
    packages: dict[Role, Package] = {}
    for member in document.members:
        files = {name: contents[_path(member, name)] for name in member.files}
        check_model(member.model, contracts[member.role], check_onnx(files["model.onnx"]))
        packages[member.role] = Package(member, contracts[member.role], files)
    return Release(document, _digest(contents[RELEASE]), key, packages)


def check_allowed(contents: Mapping[str, bytes]) -> None:
    """Size and format of every file, against the allow-list."""
    for path in (RELEASE, RELEASE_SIGNATURE):
        if path not in contents:
            raise ArtifactRefused("format", f"{path} is missing. Let the gate fetch the release.")
    for path, content in contents.items():
        kind_of(path)
        check_format(path, content)


def check_release(contents: Mapping[str, bytes], trust: Trust, expected: Reference | None) -> tuple[ReleaseDocument, _Statement, TrustedKey]:
    """The document's digest against what was asked for, and its signature against who is trusted; only then is it parsed."""
    content = contents[RELEASE]
    digest = _digest(content)
    if expected is not None and expected.digest is not None and digest != expected.digest:
        raise ArtifactRefused("digest", f"{expected} was asked for, but its document has the digest {digest}. Copy the release again.")
    signed = verify_envelope(contents[RELEASE_SIGNATURE], IN_TOTO, trust, RELEASE_SIGNATURE)
    statement = _statement(signed)
    document = ReleaseDocument.from_json(content)
    name = f"{document.name}:{document.version}"
    if statement.subject != [_Subject(name, _Sha256(sha256_bytes(content)))]:
        raise ArtifactRefused("signature", f"{RELEASE_SIGNATURE} signs {statement.subject[0].name[:100]!r} and not this {name}. Sign the release again.")
    if expected is not None and (document.name != expected.name or expected.version not in (None, document.version)):
        raise ArtifactRefused("digest", f"{expected} was asked for, but this is {name}. Ask for it by its own name.")
    _check_document(document)
    return document, statement, signed.key


def check_bundles(contents: Mapping[str, bytes], document: ReleaseDocument, statement: _Statement, trust: Trust) -> None:
    """Each package's bundle: the one the release's signer saw, signed by a trusted key, listing what the document lists."""
    bundles = statement.predicate.bundles
    for member in document.members:
        content = contents.get(_path(member, SIGNATURE_FILE))
        if content is None:
            raise ArtifactRefused("signature", f"{member.model}: {SIGNATURE_FILE} is missing. Fetch the release again.")
        if bundles.get(member.package) != sha256_bytes(content):
            raise ArtifactRefused("signature", f"{member.model}: {SIGNATURE_FILE} is not the one this release was signed with. Fetch the release again.")
        _, listed = verify_bundle(content, member.model, trust)
        check_files(member.model, listed, member.files)
    if bundles.keys() != {member.package for member in document.members}:
        raise ArtifactRefused("signature", f"{RELEASE_SIGNATURE} names packages that the release does not hold. Sign the release again.")


def check_contracts(contents: Mapping[str, bytes], document: ReleaseDocument) -> dict[Role, Contract]:
    """Each contract is the released one and parses; all members answer the same question from the same features."""
    contracts: dict[Role, Contract] = {}
    for member in document.members:
        content = contents.get(_path(member, "contract.json"))
        if content is None or sha256_bytes(content) != member.files.get("contract.json"):
            raise ArtifactRefused("file-digest", f"{member.model}: contract.json is not what was released. Fetch the release again.")
        contracts[member.role] = Contract.from_json(content)
        check_complete(member.model, contracts[member.role], member.files.keys())
    primary = contracts["primary"]
    if (primary.name, primary.version) != (document.contract.name, document.contract.version):
        promised = f"{document.contract.name} {document.contract.version}"
        raise ArtifactRefused("contract", f"the release promises contract {promised}, its primary has {primary.name} {primary.version}. Compose it again.")
    check_same_contract(contracts)
    return contracts


def check_same_contract(contracts: Mapping[Role, Contract]) -> None:
    """All members answer the primary's question. Raises ArtifactRefused("contract")."""
    same = ("name", "version", "entity", "horizon", "feature_version")
    for role, contract in contracts.items():
        if any(getattr(contract, key) != getattr(contracts["primary"], key) for key in same):
            raise ArtifactRefused("contract", f"the {role} member answers another contract than the primary. Compose the release of members trained together.")


def check_approvals(document: ReleaseDocument, key: TrustedKey) -> None:
    """Tier low needs none. Above it, a key made in a state directory may not sign, and approvals must come along."""
    if document.tier == "low":
        return
    what = f"{document.name}:{document.version} has tier {document.tier}"
    if key.local:
        raise ArtifactRefused("approval", f"{what}; the local key may sign tier low only. Sign it with a release key.")
    raise ArtifactRefused("approval", f"{what} and comes without approvals. Have it approved, then release it.")


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
    roles = [member.role for member in document.members]
    packages = [member.package for member in document.members]
    rungs = [*roles, "rules", "default"]
    risks = [document.default, *document.thresholds.values(), *(rule.risk for rule in document.rules)]
    wrong = (
        "a name that is none" if not is_name(document.name) or not all(is_name(member.model) for member in document.members)
        else "a version below 1" if document.version < 1
        else "no primary, or two members of one role" if "primary" not in roles or len(set(roles)) != len(roles)
        else "one model or package twice" if len(set(packages)) != len(packages) or len({member.model for member in document.members}) != len(roles)
        else "a package without digest" if any(_hex(package) is None for package in packages)
        else "a file that no package may hold" if any(name not in PACKAGE_FILES for member in document.members for name in member.files)
        else "a ladder that does not lead from primary to default" if document.ladder[:1] != ["primary"] or document.ladder[-1:] != ["default"]
        else "a rung that it does not have" if not set(document.ladder) <= set(rungs) or len(set(document.ladder)) != len(document.ladder)
        else "a risk outside 0 to 1" if not all(0 <= risk <= 1 for risk in risks)
        else "thresholds other than watch < act < page" if not _rising(document.thresholds)
        else "a rule without exactly one of above, below" if any((rule.above is None) == (rule.below is None) for rule in document.rules)
        else None
    )  # fmt: skip
    if wrong:
        raise ArtifactRefused("contract", f"release.json of {document.name[:100]!r} has {wrong}. Compose the release again.")


def _rising(thresholds: Mapping[str, float]) -> bool:
    return thresholds.keys() == {"watch", "act", "page"} and thresholds["watch"] < thresholds["act"] < thresholds["page"]


def _statement(signed: Signed) -> _Statement:
    try:
        statement = msgspec.json.decode(signed.payload, type=_Statement)
    except msgspec.MsgspecError as error:
        raise ArtifactRefused("signature", f"{RELEASE_SIGNATURE} signs something else than a release ({error}). Sign the release.") from None
    if (statement.type, statement.predicate_type) != (_STATEMENT, _PREDICATE) or len(statement.subject) != 1:
        raise ArtifactRefused("signature", f"{RELEASE_SIGNATURE} signs a {statement.predicate_type[:100]!r}, not one release. Sign the release.")
    return statement


def _digest(content: bytes) -> str:
    return f"sha256:{sha256_bytes(content)}"


def _hex(digest: str) -> str | None:
    name = digest.removeprefix("sha256:")
    return name if digest.startswith("sha256:") and len(name) == 64 and set(name) <= set("0123456789abcdef") else None


def _path(member: Member, name: str) -> str:
    return f"packages/{member.hex}/{name}"
