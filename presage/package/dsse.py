"""DSSE envelopes over ECDSA P-256: one signer and one verifier for releases (and what else is signed as a statement).

    {"payload": base64, "payloadType": type, "signatures": [{"keyid": id, "sig": base64}]}

The signature is over `DSSEv1 SP len(type) SP type SP len(payload) SP payload`. A verifier takes the payload from the very
bytes that were verified, and accepts one spelling of an envelope only, so that no byte of it can change unseen.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from presage.errors import ArtifactRefused
from presage.files import canonical_json
from presage.package.keys import Trust, TrustedKey

IN_TOTO = "application/vnd.in-toto+json"


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[Signature]


@dataclass(frozen=True)
class Signed:
    """What a verified envelope holds, and who signed it."""

    payload: bytes
    key: TrustedKey


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


class Signer(Protocol):
    """Whoever can sign: a key in a file, or one that never leaves Vault."""

    @property
    def id(self) -> str:
        """SHA-256 of the public key's PEM, hex."""

    def sign(self, message: bytes) -> bytes:
        """ECDSA P-256 over SHA-256 of `message`, DER."""


def sign(payload: bytes, payload_type: str, key: Signer) -> bytes:
    """An envelope as canonical JSON. ECDSA draws a random number: two envelopes of one payload differ."""
    signature = key.sign(pre_authentication_encoding(payload_type, payload))
    return canonical_json({
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [{"keyid": key.id, "sig": base64.b64encode(signature).decode()}],
    })


def verify(content: bytes, payload_type: str, trust: Trust, what: str) -> Signed:
    """Check one envelope. Raises ArtifactRefused("signature"), its sentence beginning with `what`."""
    try:
        envelope = msgspec.json.decode(content, type=Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArtifactRefused("signature", f"{what} is no DSSE envelope ({error}). Sign it again.") from None
    if msgspec.json.encode(envelope, order="sorted") != content or len(envelope.signatures) != 1:
        raise ArtifactRefused("signature", f"{what} is not one signature in canonical form. Sign it again.")
    if envelope.payload_type != payload_type:
        raise ArtifactRefused("signature", f"{what} signs {envelope.payload_type!r}, not {payload_type!r}. Sign it again.")
    signature = envelope.signatures[0]
    key = trust.find(signature.keyid)
    if key is None:
        raise untrusted(what, signature.keyid, trust)
    payload = decode_base64(envelope.payload, what)
    check_signature(key, decode_base64(signature.sig, what), pre_authentication_encoding(payload_type, payload), what)
    return Signed(payload, key)


def named_signer(content: bytes) -> str:
    """Id of the key that an envelope names, unverified; empty where it names none."""
    try:
        envelope = msgspec.json.decode(content, type=Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return envelope.signatures[0].keyid if envelope.signatures else ""


def untrusted(what: str, key_id: str, trust: Trust) -> ArtifactRefused:
    return ArtifactRefused("signature", f"{what} is signed by key {key_id[:16]!r}, which is not trusted here ({trust}). Trust the key or sign again.")


def check_signature(key: TrustedKey, signature: bytes, message: bytes, what: str) -> None:
    """ECDSA over SHA-256; raises ArtifactRefused("signature")."""
    try:
        key.public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise ArtifactRefused("signature", f"{what} does not fit what it signs. It was changed after signing; fetch or sign it again.") from None


def decode_base64(text: str, what: str) -> bytes:
    """Base64 in its one canonical spelling."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if base64.b64encode(content).decode() != text:
        raise ArtifactRefused("signature", f"{what} holds base64 that is not canonical. Sign it again.")
    return content
