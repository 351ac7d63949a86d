"""Signing keys and whom to trust: ECDSA P-256, PEM files, a key's id is the SHA-256 of its public PEM.

    keys/local.key   0600, made on first use, signs releases of this state directory
    keys/local.pub   its public half: trusted only where this file lies, at tier low

A trust folder holds `<owner>.pub` files and nothing else is trusted. The id is the hint that OpenSSF model-signing writes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from presage.errors import ArtifactRefused, StateError
from presage.files import sha256_bytes, write_bytes
from presage.package.locks import locked

LOCAL = "local"


@dataclass(frozen=True)
class TrustedKey:
    """A public key whose signatures count. owner: its file's stem; `local` is a key made in a state directory."""

    owner: str
    public: ec.EllipticCurvePublicKey

    @property
    def pem(self) -> bytes:
        return self.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def id(self) -> str:
        return sha256_bytes(self.pem)

    @property
    def local(self) -> bool:
        return self.owner == LOCAL


@dataclass(frozen=True)
class SigningKey:
    """A private key and the file it lies in (model-signing reads it from there)."""

    path: Path
    private: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> TrustedKey:
        return TrustedKey(self.path.stem, self.private.public_key())

    @property
    def id(self) -> str:
        return self.public.id

    def sign(self, message: bytes) -> bytes:
        """ECDSA over SHA-256 of `message`, DER."""
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


@dataclass(frozen=True)
class Trust:
    """The keys that are trusted here, by id."""

    keys: dict[str, TrustedKey]

    @classmethod
    def of(cls, keys: Iterable[TrustedKey]) -> "Trust":
        return cls({key.id: key for key in keys})

    @classmethod
    def open(cls, folder: Path) -> "Trust":
        """Every `*.pub` in `folder`. Raises ArtifactRefused("signature") where there is none or one is no P-256 key."""
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == ".pub")
        except OSError as error:
            raise ArtifactRefused("signature", f"{folder}: no trusted keys ({error.strerror}). Put the signers' *.pub files there.") from None
        if not paths:
            raise ArtifactRefused("signature", f"{folder} holds no *.pub file, so nothing can be trusted. Put the signers' public keys there.")
        return cls.of(_read_public(path) for path in paths)

    def find(self, key_id: str) -> TrustedKey | None:
        return self.keys.get(key_id)

    def __str__(self) -> str:
        return "trusted: " + ", ".join(f"{key.owner} {key.id[:16]}" for key in self.keys.values())


def _read_public(path: Path) -> TrustedKey:
    try:
        content = path.read_bytes()[:4096]
    except OSError:
        content = b""
    return parse_public(path.stem, content, str(path))


def parse_public(owner: str, pem: bytes, where: str = "the key") -> TrustedKey:
    """A public key from its PEM. where: its place in errors. Raises ArtifactRefused("signature")."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ArtifactRefused("signature", f"{where}: not a public key in PEM form. Remove it or write the key again.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ArtifactRefused("signature", f"{where}: not an ECDSA P-256 key, the only kind that signs here. Remove it.")
    return TrustedKey(owner, key)


def local_key(folder: Path) -> SigningKey:
    """The key of this state directory, made on first use (and its public half beside it).

    Raises StateError where others may read it or it is no key.
    """
    path = folder / f"{LOCAL}.key"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(folder):
        if not path.exists():
            private = ec.generate_private_key(ec.SECP256R1())
            write_bytes(path, private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        key = read_key(path)
        public = folder / f"{LOCAL}.pub"
        if not public.exists() or public.read_bytes() != key.public.pem:
            write_bytes(public, key.public.pem)
    return key


def read_key(path: Path) -> SigningKey:
    """A private key from a PEM file that its owner alone may read. Raises StateError."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise StateError(f"{path}: the signing key cannot be read ({error.strerror}). Name another key, or restore this one.") from None
    if mode & 0o077:
        raise StateError(f"{path}: others may read the signing key (mode {mode & 0o777:o}). Run chmod 600 on it, or make a new key.")
    try:
        private = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise StateError(f"{path}: not a private key in PEM form without password. Remove it to have a new one made.") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise StateError(f"{path}: not an ECDSA P-256 key, the only kind that signs here. Remove it to have a new one made.")
    return SigningKey(path, private)
