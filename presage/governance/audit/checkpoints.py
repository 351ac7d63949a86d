"""Checkpoints in C2SP's form (tlog-checkpoint, signed-note): how long the log was and what its root hash was, signed by Ed25519.

    presage/audit/0f1e2d3c4b5a6978
    1234
    BASE64(ROOT)

    — presage/audit/0f1e2d3c4b5a6978 BASE64(KEYHASH ‖ SIGNATURE)

The first line names the log; its key has the same name. A key is written as C2SP's vkey, `NAME+KEYHASH+BASE64(01 ‖ PUBLIC)`, and its hash is the
first four bytes of SHA-256 over `NAME\\n ‖ 01 ‖ PUBLIC`.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from presage.errors import InputError, StateError

_ED25519 = b"\x01"
_DASH = "\u2014"


class AnotherKey(StateError):
    """Signed, but not by the key that is believed."""


@dataclass(frozen=True)
class VerifyingKey:
    """The public half. name: of key and log."""

    name: str
    public: bytes

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str, where: str = "the key") -> "VerifyingKey":
        """From a vkey. Raises InputError."""
        key = cls("", b"")
        name, _, rest = text.strip().partition("+")
        hashed, _, encoded = rest.partition("+")
        try:
            content = base64.b64decode(encoded, validate=True)
            key = cls(name, content[1:])
            Ed25519PublicKey.from_public_bytes(key.public)
        except (binascii.Error, ValueError):
            content = b""
        if content[:1] != _ED25519 or not name or any(mark.isspace() for mark in name) or key.hash.hex() != hashed:
            raise InputError(f"{where}: {text.strip()[:80]!r} is no vkey of an Ed25519 key. Give the audit.vkey that lies beside the log's key.")
        return key


@dataclass(frozen=True)
class Checkpoint:
    """size: entries; root: bytes[32]."""

    size: int
    root: bytes

    def note(self, private: Ed25519PrivateKey, public: VerifyingKey) -> bytes:
        """It, signed. The same checkpoint by the same key is the same bytes."""
        body = self._body(public.name)
        return f"{body}\n{_DASH} {public.name} {base64.b64encode(public.hash + private.sign(body.encode())).decode()}\n".encode()

    @classmethod
    def parse(cls, content: bytes, key: VerifyingKey, where: str) -> "Checkpoint":
        """From a note of this log. Raises StateError where it is none or its signature does not fit, AnotherKey where another key signed.

        One signature, and every byte as it was written: C2SP lets witnesses add lines, but nobody has business in what lies here.
        """
        try:
            body, _, signatures = content.decode().partition("\n\n")
            origin, size, root = body.split("\n")
            dash, name, encoded = signatures.removesuffix("\n").split(" ")
            signed, hashed = base64.b64decode(encoded, validate=True), base64.b64decode(root, validate=True)
            found = cls(int(size), hashed)
        except (ValueError, binascii.Error, UnicodeDecodeError):
            raise StateError(f"{where} is no signed checkpoint") from None
        if dash != _DASH or len(hashed) != 32 or found.size < 0:
            raise StateError(f"{where} is no signed checkpoint")
        if (name, signed[:4]) != (key.name, key.hash):
            raise AnotherKey(f"{where} is signed by another key ({name[:80]!r} {signed[:4].hex()}, and {key.name} {key.hash.hex()} is the log's)")
        written = f"{found._body(key.name)}\n{_DASH} {key.name} {base64.b64encode(signed).decode()}\n".encode()
        if origin != key.name or written != content:
            raise StateError(f"{where} is not written as it was")
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signed[4:], found._body(key.name).encode())
        except InvalidSignature:
            raise StateError(f"{where}: its signature does not fit") from None
        return found

    def _body(self, origin: str) -> str:
        return f"{origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"
