"""A package's signature: an OpenSSF model-signing bundle (`model.sig`) over every other file of its folder.

Signing goes through the model-signing library, in key mode. Verifying is done here, over bytes in memory, because the
library takes most of a second to import and needs plain files; a test holds the two against each other. The bundle's own
signature and list are checked first, so that files are compared with a list that is already known to be genuine.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from presage.errors import ArtifactRefused
from presage.package.dsse import IN_TOTO, Envelope, Signature, check_signature, decode_base64, pre_authentication_encoding, untrusted
from presage.package.keys import SigningKey, Trust, TrustedKey

SIGNATURE_FILE = "model.sig"
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    pass


class _PublicKey(_Strict, frozen=True):
    hint: str


class _Material(_Strict, frozen=True):
    public_key: _PublicKey
    tlog_entries: list[None] = []


class _Bundle(_Strict, frozen=True):
    media_type: str
    verification_material: _Material
    dsse_envelope: Envelope


class _Sha256(_Strict, frozen=True):
    sha256: str


class _Subject(_Strict, frozen=True):
    name: str
    digest: _Sha256


class _Resource(_Strict, frozen=True):
    algorithm: str
    digest: str
    name: str


class _Serialization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ignore_paths: list[str]
    method: str
    hash_type: str
    allow_symlinks: bool


class _Predicate(_Strict, frozen=True):
    resources: list[_Resource]
    serialization: _Serialization


class _Statement(_Strict, frozen=True):
    type: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: str
    predicate: _Predicate


def sign_folder(folder: Path, key: SigningKey) -> None:
    """Write `model.sig` into a package folder whose name is the model's."""
    from model_signing import hashing, signing

    signature = folder.absolute() / SIGNATURE_FILE
    files = hashing.Config().set_ignored_paths(paths=[signature], ignore_git_paths=False)
    signing.Config().use_elliptic_key_signer(private_key=key.path).set_hashing_config(files).sign(folder.absolute(), signature)
    signature.chmod(0o600)


def countersign(content: bytes, key: SigningKey) -> bytes:
    """The same statement, in a bundle by another key. `content`: a bundle that was verified."""
    bundle = msgspec.json.decode(content, type=_Bundle)
    payload = decode_base64(bundle.dsse_envelope.payload, SIGNATURE_FILE)
    signature = key.private.sign(pre_authentication_encoding(IN_TOTO, payload), ec.ECDSA(hashes.SHA256()))
    envelope = msgspec.structs.replace(bundle.dsse_envelope, signatures=[Signature("", base64.b64encode(signature).decode())])
    return msgspec.json.encode(_Bundle(bundle.media_type, _Material(_PublicKey(key.id)), envelope))


def verify_bundle(content: bytes, model: str, trust: Trust) -> tuple[TrustedKey, dict[str, str]]:
    """The signer and the list {file: sha256 hex} of a bundle. Raises ArtifactRefused("signature")."""
    what = f"{SIGNATURE_FILE} of {model}"
    try:
        bundle = msgspec.json.decode(content, type=_Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArtifactRefused("signature", f"{what} is no model-signing bundle ({error}). Sign the package again.") from None
    envelope = bundle.dsse_envelope
    if bundle.media_type != _BUNDLE or envelope.payload_type != IN_TOTO or len(envelope.signatures) != 1 or envelope.signatures[0].keyid:
        raise ArtifactRefused("signature", f"{what} is not one signature of an in-toto statement by a key. Sign the package again.")
    hint = bundle.verification_material.public_key.hint
    key = trust.find(hint)
    if key is None:
        raise untrusted(what, hint, trust)
    payload = decode_base64(envelope.payload, what)
    check_signature(key, decode_base64(envelope.signatures[0].sig, what), pre_authentication_encoding(IN_TOTO, payload), what)
    return key, _listed(payload, model, what)


def _listed(payload: bytes, model: str, what: str) -> dict[str, str]:
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArtifactRefused("signature", f"{what} signs something else than a model ({error}). Sign the package again.") from None
    serialization, resources = statement.predicate.serialization, statement.predicate.resources
    if (statement.type, statement.predicate_type, serialization.method, serialization.hash_type) != (_STATEMENT, _PREDICATE, "files", "sha256"):
        raise ArtifactRefused("signature", f"{what} signs something else than a folder of files by SHA-256. Sign the package again.")
    if len(statement.subject) != 1 or statement.subject[0].name != model:
        names = ", ".join(subject.name for subject in statement.subject)
        raise ArtifactRefused("signature", f"{what} was made for {names!r}. Sign this package by its own name.")
    files = {resource.name: resource.digest for resource in resources if resource.algorithm == "sha256"}
    try:
        root = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in files.values())).hexdigest()
    except ValueError:
        root = ""
    if len(files) != len(resources) or root != statement.subject[0].digest.sha256:
        raise ArtifactRefused("signature", f"{what} lists files that do not add up to its own digest. Sign the package again.")
    return files


def check_files(model: str, listed: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Whether the files that are there (path → sha256 hex) are those that were signed. Raises ArtifactRefused("file-digest")."""
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            raise ArtifactRefused("file-digest", f"{model}: {name} is missing. Fetch the package again.")
        if name not in listed:
            raise ArtifactRefused("file-digest", f"{model}: {name} was not there when the package was signed. Remove it or fetch the package again.")
        if listed[name] != found[name]:
            raise ArtifactRefused("file-digest", f"{model}: {name} was changed after signing. Fetch the package again.")
