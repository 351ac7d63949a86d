"""Where Vault is and who asks: a program logs in with its own service account token, and with nothing else.

    client = connect(VaultSettings.from_environment(os.environ))     # hvac.Client, good for the role's ttl
    Transit(client, "releases").unwrap(wrapped)

The token file is a projected volume: it is read at each login, since the kubelet replaces it. Proxies, tokens and authorities of the
environment (VAULT_TOKEN, ~/.vault-token, HTTPS_PROXY, REQUESTS_CA_BUNDLE) are never looked at.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hvac
import hvac.exceptions
import requests

from presage.secrets.answers import explained, said
from presage.secrets.errors import ConfigurationRefused, LoginRefused

SECONDS = 10.0  # for one answer
_PREFIX = "PRESAGE_VAULT_"


@dataclass(frozen=True)
class VaultSettings:
    """One program's way to Vault."""

    address: str
    """`https://HOST:PORT`; plain HTTP is refused."""
    role: str
    """Role of the auth mount, `<namespace>.<service account>`."""
    token_file: Path
    """A service account token whose audience is the role's."""
    ca: Path | None = None
    """PEM of whoever issued Vault's certificate; None: what the system trusts."""
    auth_mount: str = "jwt"
    """Path of the auth method."""
    timeout: float = SECONDS
    """Seconds for one answer."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "VaultSettings":
        """PRESAGE_VAULT_ADDRESS, _ROLE, _TOKEN_FILE and, where given, _CA and _AUTH_MOUNT. Raises ConfigurationRefused naming the variable."""
        address, role, token_file = (_required(env, _PREFIX + name) for name in ("ADDRESS", "ROLE", "TOKEN_FILE"))
        ca = env.get(_PREFIX + "CA", "").strip()
        mount = env.get(_PREFIX + "AUTH_MOUNT", "").strip().strip("/") or "jwt"
        return cls(_https(address, _PREFIX + "ADDRESS"), role, Path(token_file), Path(ca) if ca else None, mount)


def connect(settings: VaultSettings) -> hvac.Client:
    """Log in as the settings' role. Raises SecretsError: out, sealed, refused."""
    try:
        token = settings.token_file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        remedy = f"Mount one with the audience that role {settings.role!r} wants"
        raise LoginRefused(f"{settings.token_file}: there is no service account token here. {remedy}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LoginRefused(f"{settings.token_file}: the service account token cannot be read ({error}). Mount it readable for this program.") from None
    client = open_client(settings.address, settings.ca, timeout=settings.timeout)
    return login(client, settings.auth_mount, settings.role, token, source=str(settings.token_file))


def open_client(address: str, ca: Path | None, token: str = "", timeout: float = SECONDS) -> hvac.Client:
    """A client that has asked nothing yet. token: Vault's own; empty: none, whatever the environment holds."""
    if ca is not None and not ca.is_file():
        raise ConfigurationRefused(f"{ca}: there is no certificate authority's file here. Correct PRESAGE_VAULT_CA or --ca.")
    session = requests.Session()
    session.trust_env = False
    session.verify = str(ca) if ca is not None else True
    return hvac.Client(url=_https(address, "the address of Vault"), token=token, timeout=timeout, session=session, allow_redirects=False)


def login(client: hvac.Client, mount: str, role: str, token: str, *, source: str = "the token") -> hvac.Client:
    """Exchange a service account token for one of Vault's, kept in `client`, which is returned. source: where the token came from, for the sentence."""
    asked = f"log in at auth/{mount} as role {role!r}"
    with explained(asked, client.url):
        try:
            answer = client.auth.jwt.jwt_login(role, token, path=mount)
        except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized, hvac.exceptions.InvalidPath) as error:
            raise LoginRefused(f"cannot {asked}: {said(error)}; {source} has {_claims(token)}. {_remedy(said(error))}") from None
    client.token = answer["auth"]["client_token"]
    return client


def _remedy(words: str) -> str:
    lowered = words.lower()
    if "audience" in lowered or "(aud)" in lowered:
        return "Request the token for the audience that the role wants (projected volume: audience)."
    if "expired" in lowered or "(exp)" in lowered:
        return "Read the file anew: the kubelet has replaced it, or its volume is no longer projected."
    if "subject" in lowered or "(sub)" in lowered:
        return "Run as the service account that the role names, or add a role for this one in policies/access.yaml."
    if "role" in lowered and ("not be found" in lowered or "not found" in lowered or "could not" in lowered):
        return "Add the account to policies/access.yaml, then `presage vault apply`."
    if "permission denied" in lowered:
        return "See that Vault has an auth method at this path (PRESAGE_VAULT_AUTH_MOUNT), or make it with `presage vault apply`."
    return "See that the token comes from the cluster that this auth mount trusts, and for the role's audience and account."


def _claims(token: str) -> str:
    """Who a token says it is, unverified and for the sentence alone; never the token itself."""
    try:
        payload = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        audience = claims.get("aud")
        expires = datetime.fromtimestamp(int(claims["exp"]), UTC).isoformat() if "exp" in claims else "never"
        return f"audience {audience!r}, subject {str(claims.get('sub'))[:200]!r}, expires {expires}"
    except (IndexError, ValueError, TypeError, AttributeError, OverflowError, binascii.Error):
        return "no claims: it is no JSON Web Token"


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise ConfigurationRefused(f"{name} is not set, so Vault cannot be asked. Set it in the container's environment.")
    return value


def _https(address: str, name: str) -> str:
    if not address.startswith("https://") or not address.removeprefix("https://").strip("/"):
        raise ConfigurationRefused(f"{name} is {address!r}: secrets travel over TLS only. Write https://HOST:PORT.")
    return address.rstrip("/")
