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
from typing import Any

import hvac

from presage.secrets.answers import write
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
