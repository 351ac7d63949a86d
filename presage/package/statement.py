"""In-toto statements about one release: what a release's signature, an approval and a step's record are.

    payload = statement("incident:7", "sha256:…", PREDICATE, approval)
    found = parse_statement(payload, Approval, PREDICATE, "the file")        # found.name, found.digest, found.predicate
    named_subject(envelope)                                                  # what one claims to be about, before anybody believes it

They are signed in a DSSE envelope (presage.package.dsse); a verifier parses the very bytes that were verified.
"""

import base64
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from presage.errors import ArtifactRefused
from presage.files import canonical_json

_TYPE = "https://in-toto.io/Statement/v1"
Predicate = TypeVar("Predicate", bound=msgspec.Struct)


class _Sha256(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str


class _Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    digest: _Sha256


class _Statement(msgspec.Struct, Generic[Predicate], frozen=True, forbid_unknown_fields=True):
    type: str = msgspec.field(name="_type")
    predicate_type: str = msgspec.field(name="predicateType")
    subject: list[_Subject]
    predicate: Predicate


@dataclass(frozen=True)
class Stated(Generic[Predicate]):
    """name: `incident:7`; digest: `sha256:<hex>` of the release's document."""

    name: str
    digest: str
    predicate: Predicate


def statement(name: str, digest: str, predicate_type: str, predicate: Any) -> bytes:
    """Canonical JSON, to be signed. digest: `sha256:<hex>`."""
    return canonical_json({
        "_type": _TYPE,
        "predicateType": predicate_type,
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicate": msgspec.to_builtins(predicate),
    })


def parse_statement(payload: bytes, predicate: type[Predicate], predicate_type: str, what: str) -> Stated[Predicate]:
    """One statement of this kind. what: begins the sentence. Raises ArtifactRefused("signature")."""
    try:
        found = msgspec.json.decode(payload, type=_Statement[predicate])  # type: ignore[valid-type]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArtifactRefused("signature", f"{what} signs something else than it should ({error}). Sign it again.") from None
    if (found.type, found.predicate_type) != (_TYPE, predicate_type) or len(found.subject) != 1:
        raise ArtifactRefused("signature", f"{what} signs a {found.predicate_type[:100]!r}, not one {predicate_type}. Sign it again.")
    subject = found.subject[0]
    return Stated(subject.name, f"sha256:{subject.digest.sha256}", found.predicate)


def unverified_payload(envelope: bytes) -> bytes:
    """What an envelope holds, whoever signed it. Raises ValueError where it is none."""
    try:
        return base64.b64decode(msgspec.json.decode(envelope)["payload"], validate=True)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None


def named_subject(envelope: bytes) -> tuple[str, str] | None:
    """(name, `sha256:…`) that a statement says it is about, whoever signed it; None where it says nothing of the kind."""
    try:
        named = msgspec.json.decode(unverified_payload(envelope))["subject"][0]
        return str(named["name"]), f"sha256:{named['digest']['sha256']}"
    except (ValueError, KeyError, TypeError, IndexError, msgspec.MsgspecError):
        return None
