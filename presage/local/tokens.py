"""JSON Web Tokens of the plane: service account tokens, as a cluster's API server issues them, and tokens of people's clients.

    issuer = TokenIssuer.open(state.keys / "issuer.key")
    issuer.service_account("models-network", "incident", ["vault"], 600)
    issuer.jwks                 what verifies them (RFC 7517)
    issuer.public_pem           the same key as OpenBao's jwt method takes it

ES256. The key lies 0600 in the state directory; nothing outside this plane trusts it.
"""

import base64
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from presage.errors import StateError
from presage.files import canonical_json, sha256_bytes, write_bytes

CLUSTER_ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True)
class TokenIssuer:
    """One signing key."""

    key: ec.EllipticCurvePrivateKey

    @classmethod
    def open(cls, path: Path) -> "TokenIssuer":
        """The key at `path`, made on first use, its public half beside it as `<stem>.jwks`. Raises StateError where it is none."""
        if not path.exists():
            made = cls(ec.generate_private_key(ec.SECP256R1()))
            pem = made.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            write_bytes(path.with_suffix(".jwks"), made.jwks)
            write_bytes(path, pem)
            return made
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise StateError(f"{path} is no key ({error}). Remove it; the next `presage up` makes a new one.") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise StateError(f"{path} is no ECDSA key. Remove it; the next `presage up` makes a new one.")
        issuer = cls(key)
        write_bytes(path.with_suffix(".jwks"), issuer.jwks)
        return issuer

    @property
    def public_pem(self) -> str:
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def key_id(self) -> str:
        return sha256_bytes(self.public_pem.encode())[:16]

    @property
    def jwks(self) -> bytes:
        """The key set document."""
        numbers = self.key.public_key().public_numbers()
        x, y = (_encoded(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return canonical_json({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.key_id, "x": x, "y": y}]})

    def service_account(self, namespace: str, name: str, audiences: Sequence[str], seconds: int, pod: str = "") -> str:
        """What a projected serviceAccountToken volume holds."""
        bound: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": name}}
        if pod:
            bound["pod"] = {"name": pod}
        return self.issue(CLUSTER_ISSUER, f"system:serviceaccount:{namespace}:{name}", audiences, seconds, {"kubernetes.io": bound})

    def issue(self, issuer: str, subject: str, audiences: Sequence[str], seconds: int, claims: Mapping[str, Any] | None = None) -> str:
        """A token valid from now for `seconds` (negative: already over)."""
        now = int(time.time())
        times = {"iat": now, "nbf": now - 5 + min(seconds, 0), "exp": now + seconds}
        body = {"iss": issuer, "sub": subject, "aud": list(audiences), "jti": os.urandom(8).hex(), **times, **(claims or {})}
        signing = b".".join(_encoded(orjson.dumps(part)).encode() for part in ({"alg": "ES256", "typ": "JWT", "kid": self.key_id}, body))
        r, s = decode_dss_signature(self.key.sign(signing, ec.ECDSA(hashes.SHA256())))
        return f"{signing.decode()}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
