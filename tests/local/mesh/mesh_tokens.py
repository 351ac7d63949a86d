"""An issuer of tokens (JWT, ES256), as clients get them from."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "https://issuer.presage.local"


class Issuer:
    def __init__(self, name: str = ISSUER) -> None:
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def keys(self) -> str:
        """The public key as a JWK set."""
        found = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        return json.dumps({"keys": [found | {"kid": "1", "alg": "ES256", "use": "sig"}]})

    def token(self, subject: str = "console", audience: str | list[str] | None = "incident", *, expired: bool = False, **claims: Any) -> str:
        now = int(time.time())
        payload = {"iss": self.name, "sub": subject, "aud": audience, "iat": now - 600, "exp": now - 300 if expired else now + 600, **claims}
        return jwt.encode({key: value for key, value in payload.items() if value is not None}, self._key, "ES256", {"kid": "1"})

    def bearer(self, *arguments: Any, **options: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(*arguments, **options)}"}
