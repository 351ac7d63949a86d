"""Data keys, wrapped by a key that never leaves Vault.

    keys = Transit(client, "releases")
    plaintext, wrapped = keys.data_key()      # 32 bytes, "vault:v1:…"
    keys.unwrap(wrapped) == plaintext
    keys.rewrap(wrapped)                      # by the newest version of the key; the plaintext is not seen here

Each needs its own right on the key, so a publisher can wrap and not unwrap, a Pod the other way round. (A new data key is seen by who
asked for it.)
"""

import base64
import binascii
from functools import cached_property
from typing import Any

import hvac

from presage.secrets.answers import read, write
from presage.secrets.errors import ConfigurationRefused

BITS = 256


class Transit:
    """One transit key of a Vault, asked with the client's rights. Each method raises SecretsError."""

    def __init__(self, client: hvac.Client, key: str, mount: str = "transit") -> None:
        self._client = client
        self._key = key
        self._mount = mount

    def data_key(self) -> tuple[bytes, str]:
        """(32 new random bytes, the same wrapped)."""
        answer = self._ask("datakey/plaintext", bits=BITS)
        return _bytes(answer["plaintext"]), str(answer["ciphertext"])

    def unwrap(self, wrapped: str) -> bytes:
        """The key inside `vault:v…:…`."""
        return _bytes(self._ask("decrypt", ciphertext=wrapped)["plaintext"])

    def rewrap(self, wrapped: str) -> str:
        """The same key inside, wrapped by the newest version."""
        return str(self._ask("rewrap", ciphertext=wrapped)["ciphertext"])

    def _ask(self, verb: str, **data: Any) -> dict[str, Any]:
        return write(self._client, f"{self._mount}/{verb}/{self._key}", data)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ConfigurationRefused("Vault's transit returned a plaintext that is no base64. Use a key of an encryption type, such as aes256-gcm96.") from None


class TransitSigner:
    """A signing key (ecdsa-p256) that never leaves Vault: presage.package.dsse.Signer. Each call raises SecretsError."""

    def __init__(self, client: hvac.Client, key: str, mount: str = "transit") -> None:
        self._client, self._key, self._mount = client, key, mount

    @cached_property
    def public_pem(self) -> bytes:
        """Of the newest version, as a file of openssl has it."""
        found = read(self._client, f"{self._mount}/keys/{self._key}")
        if found.get("type") != "ecdsa-p256":
            raise ConfigurationRefused(f"Vault's transit key {self._key!r} is of type {found.get('type')!r}. Use one of type ecdsa-p256 to sign with.")
        return str(found["keys"][str(found["latest_version"])]["public_key"]).encode()

    @property
    def id(self) -> str:
        from presage.package.keys import parse_public

        return parse_public(self._key, self.public_pem, f"Vault's transit key {self._key}").id

    def sign(self, message: bytes) -> bytes:
        data = {"input": base64.b64encode(message).decode(), "hash_algorithm": "sha2-256", "marshaling_algorithm": "asn1"}
        answer = write(self._client, f"{self._mount}/sign/{self._key}", data)
        return _bytes(str(answer["signature"]).rpartition(":")[2])
