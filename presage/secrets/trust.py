"""Whose tokens the jwt method believes: differs by environment, so it is given with the command and written in no file.

    JwtTrust.from_keys(Path("keys.json"))                        public keys, where Vault cannot reach the API server
    JwtTrust(jwks_url="https://…/openid/v1/jwks", ca_pem=…)      fetched from there, so that the cluster may rotate them

`kubectl get --raw /openid/v1/jwks` prints the first.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from presage.secrets.errors import ConfigurationRefused

_CURVES: Mapping[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
_PUBLIC = "-----BEGIN PUBLIC KEY-----"


@dataclass(frozen=True)
class JwtTrust:
    """Exactly one of public_keys (PEM), jwks_url and oidc_discovery_url. ca_pem: of whoever serves the URL. issuer: `iss` that tokens must have."""

    public_keys: tuple[str, ...] = ()
    jwks_url: str = ""
    oidc_discovery_url: str = ""
    ca_pem: str = ""
    issuer: str = ""

    def __post_init__(self) -> None:
        given = [bool(self.public_keys), bool(self.jwks_url), bool(self.oidc_discovery_url)]
        if sum(given) != 1:
            raise ConfigurationRefused("whose tokens to believe is not clear: give either keys, or the URL of a key set, or the URL of an OIDC issuer.")
        if (url := self.jwks_url or self.oidc_discovery_url) and not url.startswith("https://"):
            raise ConfigurationRefused(f"{url!r}: keys that tokens are checked with come over TLS only. Write https://…")

    @classmethod
    def from_keys(cls, path: Path, issuer: str = "") -> "JwtTrust":
        """A file of PEM public keys, or a JSON Web Key Set. Raises ConfigurationRefused."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationRefused(f"{path}: the keys cannot be read ({error}). Name a file of PEM public keys, or a JSON Web Key Set.") from None
        keys = _pem_keys(text) if _PUBLIC in text else _jwks_keys(text)
        if not keys:
            raise ConfigurationRefused(f"{path} holds no public key. Name a file of PEM public keys, or a JSON Web Key Set.")
        return cls(public_keys=tuple(keys), issuer=issuer)

    def fields(self) -> dict[str, Any]:
        """Fields of auth/<mount>/config; what is not used is wanted empty."""
        keys, authority = [key.strip() for key in self.public_keys], self.ca_pem.strip()
        return {
            "jwt_validation_pubkeys": keys, "bound_issuer": self.issuer,
            "jwks_url": self.jwks_url, "jwks_ca_pem": authority if self.jwks_url else "",
            "oidc_discovery_url": self.oidc_discovery_url, "oidc_discovery_ca_pem": authority if self.oidc_discovery_url else "",
        }  # fmt: skip


def _pem_keys(text: str) -> list[str]:
    found = []
    for part in text.split(_PUBLIC)[1:]:
        body, end, _ = part.partition("-----END PUBLIC KEY-----")
        pem = f"{_PUBLIC}{body}{end}"
        try:
            serialization.load_pem_public_key(pem.encode())
        except ValueError as error:
            raise ConfigurationRefused(f"a public key among those given cannot be read ({error}). Export it again.") from None
        found.append(pem)
    return found


def _jwks_keys(text: str) -> list[str]:
    try:
        keys = orjson.loads(text)["keys"]
        return [_pem(key) for key in keys if key.get("use", "sig") == "sig"]
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ConfigurationRefused(f"the keys given are neither PEM nor a JSON Web Key Set ({type(error).__name__}: {error}). Export them again.") from None


def _pem(key: Mapping[str, Any]) -> str:
    if key["kty"] == "RSA":
        made: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
    elif key["kty"] == "EC":
        made = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), _CURVES[key["crv"]]()).public_key()
    else:
        raise ValueError(f"key type {key['kty']!r} is neither RSA nor EC")
    return made.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode().strip()


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
