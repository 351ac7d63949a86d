"""Sealed files: AES-256-GCM under one data key a release, which only Vault's transit key can unwrap.

    blob = seal(key, content, release, path)              nonce ‖ ciphertext ‖ tag
    content = unseal(key, blob, release, path)            refused where release or path is another

Weights, arrays, measures and lineage are sealed; what must be read before a key is asked for is not (release documents, signatures,
contracts, cards). The wrapped data key is a small document of its own in the release's index, `Sealing`: wrapping it anew after a
rotation replaces that document and no file.

What was approved stays what it is. A sealed package's manifest is the plain one with each sealed layer described by its ciphertext, and
the plaintext's digest and size in annotations; `plain_manifest` undoes that, and the digest of what comes out is the package's. Annotations
that lie give another package, which no release names.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from presage.errors import ArtifactRefused, PresageError
from presage.files import canonical_json
from presage.package.layout import check_size
from presage.package.oci import Descriptor, Manifest

SEALED = "+encrypted"
SEALING_TYPE = "application/vnd.presage.sealing.v1+json"
PLAIN_DIGEST, PLAIN_SIZE = "io.presage.plaintext.digest", "io.presage.plaintext.size"
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
_WRAPPED = re.compile(r"vault:v(?P<version>[1-9][0-9]{0,8}):[A-Za-z0-9+/]{16,4096}={0,2}")


class KeyWrapper(Protocol):
    """Vault's transit key, or what stands for it. Each raises a PresageError that says why it cannot."""

    def data_key(self) -> tuple[bytes, str]:
        """A new key of 32 bytes, and the same wrapped."""

    def unwrap(self, wrapped: str) -> bytes:
        """The key inside."""

    def rewrap(self, wrapped: str) -> str:
        """The same key, wrapped by the newest version of the transit key."""


class Sealing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sealed release needs to be opened. wrapped: its data key, as Vault's transit wrote it."""

    wrapped: str
    algorithm: Literal["AES-256-GCM"] = "AES-256-GCM"
    schema: Literal["presage.sealing/v1"] = "presage.sealing/v1"

    @property
    def key_version(self) -> int:
        """Which version of the transit key wrapped it."""
        match = _WRAPPED.fullmatch(self.wrapped)
        return int(match["version"]) if match else 0

    def to_json(self) -> bytes:
        return canonical_json(msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, content: bytes) -> "Sealing":
        """Raises ArtifactRefused("encryption")."""
        try:
            sealing = msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ArtifactRefused("encryption", f"the wrapped data key does not follow presage.sealing/v1: {error}. Publish the release again.") from None
        if not sealing.key_version:
            raise ArtifactRefused("encryption", f"{sealing.wrapped[:40]!r} is no data key wrapped by Vault's transit. Publish the release again.")
        return sealing


@dataclass(frozen=True)
class Sealed:
    """The part of a release that came encrypted. files: path → how its ciphertext is read, and not before it is opened."""

    files: Mapping[str, Callable[[], bytes]]
    sealing: Sealing | None

    def open(self, keys: KeyWrapper | None, release: str) -> dict[str, bytes]:
        """Path → plaintext. release: digest of the release's document. Raises ArtifactRefused("encryption")."""
        if not self.files:
            return {}
        if self.sealing is None:
            raise ArtifactRefused("encryption", f"{min(self.files)} is sealed, and no wrapped data key came with it. Publish the release again.")
        if keys is None:
            raise ArtifactRefused("encryption", f"{min(self.files)} is sealed, and no Vault is configured to open it. Set PRESAGE_VAULT_ADDRESS.")
        key = unwrap(keys, self.sealing)
        return {path: unseal(key, read(), release, path) for path, read in self.files.items()}


def unwrap(keys: KeyWrapper, sealing: Sealing) -> bytes:
    """The data key. Whatever keeps Vault from unwrapping it raises ArtifactRefused("encryption") with Vault's own reason."""
    try:
        key = keys.unwrap(sealing.wrapped)
    except ArtifactRefused:
        raise
    except PresageError as error:
        raise ArtifactRefused("encryption", f"the data key (transit key version {sealing.key_version}) cannot be unwrapped: {error.message}") from None
    if len(key) != KEY_BYTES:
        raise ArtifactRefused("encryption", f"the data key has {len(key)} bytes, {KEY_BYTES} are due. Publish the release again.")
    return key


def seal(key: bytes, content: bytes, release: str, path: str) -> bytes:
    """nonce ‖ ciphertext ‖ tag. The nonce is random: a data key seals a few hundred files of one release, far from where 96 bits repeat."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, _bound(release, path))


def unseal(key: bytes, blob: bytes, release: str, path: str) -> bytes:
    """Raises ArtifactRefused("encryption") where `blob` was not sealed with this key for this release and path."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    view = memoryview(blob)
    try:
        return AESGCM(key).decrypt(view[:NONCE_BYTES], view[NONCE_BYTES:], _bound(release, path))
    except (InvalidTag, ValueError):
        why = "it was changed, or sealed with another key, for another path or another release"
        raise ArtifactRefused("encryption", f"{path} does not open: {why}. Publish the release again.") from None


def sealed_layer(plain: Descriptor, cipher: Descriptor) -> Descriptor:
    """How a sealed layer is described. cipher: of the stored blob."""
    marks = {PLAIN_DIGEST: plain.digest, PLAIN_SIZE: str(plain.size)}
    return Descriptor(plain.media_type + SEALED, cipher.digest, cipher.size, plain.artifact_type, plain.annotations | marks)


def plain_manifest(manifest: Manifest) -> Manifest:
    """The manifest of the package before it was sealed."""
    return msgspec.structs.replace(manifest, layers=[_plain_layer(layer) if is_sealed(layer) else layer for layer in manifest.layers])


def is_sealed(layer: Descriptor) -> bool:
    return layer.media_type.endswith(SEALED)


def check_sealed_size(path: str, layer: Descriptor) -> int:
    """Bytes of the plaintext. Raises ArtifactRefused("size", "format") before one is read."""
    size = _plain_layer(layer).size
    check_size(path, size)
    if layer.size != NONCE_BYTES + size + TAG_BYTES:
        raise ArtifactRefused("format", f"{path} is sealed, and its {layer.size} bytes cannot hold {size}. Publish the release again.")
    return size


def _plain_layer(layer: Descriptor) -> Descriptor:
    annotations = dict(layer.annotations)
    digest, size = annotations.pop(PLAIN_DIGEST, ""), annotations.pop(PLAIN_SIZE, "")
    if not re.fullmatch(r"[0-9]{1,15}", size):
        raise ArtifactRefused("format", f"a sealed layer does not say how large it is ({size[:40]!r}). Publish the release again.")
    return Descriptor(layer.media_type.removesuffix(SEALED), digest, int(size), layer.artifact_type, annotations)


def _bound(release: str, path: str) -> bytes:
    """What a ciphertext is good for, and nothing else: the release's digest has one length, so the two cannot be told apart wrongly."""
    return f"presage.sealing/v1 {release} {path}".encode()
