"""Vault asked by path, and its refusals as sentences.

    read(client, "kv/data/presage/pipelines/release-signing")      the answer's `data`
    names(client, "pki-edge/issuers")                              what a LIST gives; nothing there: []

    with explained("read …", client.url): ...                      the same for any other call of hvac

Whatever hvac and the network raise becomes a SecretsError that says what was asked, what Vault said, and what to do.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import hvac
import hvac.exceptions
import requests

from presage.secrets.errors import AccessRefused, ConfigurationRefused, SecretMissing, SecretsError, VaultOut, VaultSealed

_UNSAID = {hvac.exceptions.InvalidPath: "never written, or deleted", hvac.exceptions.Forbidden: "permission denied"}
_VERBS = {"GET": "read", "LIST": "list", "POST": "write", "PATCH": "change", "DELETE": "delete"}
_OVER = "the Vault token is unknown, revoked or over. Log in again"
_GRANT = "Give the account this path in policies/access.yaml (`presage policies render`, then `presage vault apply`), or ask as another one"


def read(client: hvac.Client, path: str) -> dict[str, Any]:
    """What lies at `path`. Raises SecretsError; SecretMissing where there is nothing."""
    return _data(_ask(client, "GET", path))


def find(client: hvac.Client, path: str) -> dict[str, Any] | None:
    """What lies at `path`, None where there is nothing."""
    try:
        return read(client, path)
    except SecretMissing:
        return None


def names(client: hvac.Client, path: str) -> list[str]:
    """Names under `path`, sorted."""
    try:
        return sorted(_data(_ask(client, "LIST", path)).get("keys", ()))
    except SecretMissing:
        return []


def write(client: hvac.Client, path: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Write `data` to `path`; what Vault answers, often nothing."""
    return _data(_ask(client, "POST", path, json=dict(data)))


def patch(client: hvac.Client, path: str, data: Mapping[str, Any]) -> None:
    """Change only the fields in `data`."""
    _ask(client, "PATCH", path, json=dict(data), headers={"Content-Type": "application/merge-patch+json"})


def delete(client: hvac.Client, path: str) -> None:
    _ask(client, "DELETE", path)


def _ask(client: hvac.Client, method: str, path: str, **options: Any) -> Any:
    asked = f"{_VERBS[method]} {path.partition('?')[0]}"
    with explained(asked, client.url):
        try:
            return client.adapter.request(method, f"/v1/{path}", **options)
        except hvac.exceptions.Forbidden as error:
            if not _token_counts(client):
                raise AccessRefused(f"cannot {asked}: {_OVER}.") from None
            raise error from None


def _token_counts(client: hvac.Client) -> bool:
    """A token that is over is refused in the same words as one that may not."""
    try:
        client.adapter.get("/v1/auth/token/lookup-self")
    except (hvac.exceptions.VaultError, requests.RequestException) as error:
        return not isinstance(error, hvac.exceptions.Forbidden)
    return True


def _data(answer: Any) -> dict[str, Any]:
    data = answer.get("data") if isinstance(answer, dict) else None
    return data if isinstance(data, dict) else {}


@contextmanager
def explained(asked: str, address: str) -> Iterator[None]:
    """asked: the verb and the path, for the sentence. address: whom."""
    try:
        yield
    except (hvac.exceptions.VaultError, requests.RequestException, OSError) as error:
        raise sentence(error, asked, address) from None


def sentence(error: Exception, asked: str, address: str) -> SecretsError:
    """The SecretsError that stands for what hvac, requests or the system raised."""
    if isinstance(error, requests.exceptions.SSLError):
        remedy = "Name the authority that issued it (PRESAGE_VAULT_CA, --ca)"
        return VaultOut(f"cannot {asked}: the certificate of {address} is not trusted ({_core(error)}). {remedy}.")
    if isinstance(error, requests.exceptions.Timeout):
        return VaultOut(f"cannot {asked}: {address} does not answer in time. See whether Vault is overloaded or the network drops the request.")
    if isinstance(error, requests.exceptions.ConnectionError):
        remedy = "Start Vault, or correct the address (PRESAGE_VAULT_ADDRESS, --address)"
        return VaultOut(f"cannot {asked}: nobody answers at {address} ({_core(error)}). {remedy}.")
    if isinstance(error, requests.RequestException):
        return ConfigurationRefused(f"cannot {asked}: {address} is no address to ask ({_core(error)}). Write https://HOST:PORT.")
    if isinstance(error, hvac.exceptions.VaultError):
        return _refusal(error, asked, address)
    return VaultOut(f"cannot {asked}: {_core(error)}. Correct the file or the address.")


def said(error: hvac.exceptions.VaultError) -> str:
    """Vault's own words, on one line; never the body of an answer, which may hold what it keeps."""
    words = error.errors if isinstance(error.errors, list) else [error.errors] if error.errors else []
    text = "; ".join(" ".join(str(word).split()) for word in words).removeprefix("1 error occurred: * ").strip()
    return text[:500] or _UNSAID.get(type(error), type(error).__name__)


def _refusal(error: hvac.exceptions.VaultError, asked: str, address: str) -> SecretsError:
    words = said(error)
    if isinstance(error, hvac.exceptions.VaultNotInitialized) or "not initialized" in words:
        return VaultSealed(f"cannot {asked}: Vault at {address} is not initialised. Initialise and unseal it.")
    if "sealed" in words.lower() or isinstance(error, hvac.exceptions.VaultDown):
        return VaultSealed(f"cannot {asked}: Vault at {address} is sealed ({words}). Unseal it; nothing that it holds can be read before.")
    if isinstance(error, hvac.exceptions.Forbidden | hvac.exceptions.Unauthorized):
        if "invalid token" in words or "bad token" in words or "missing client token" in words:
            return AccessRefused(f"cannot {asked}: {_OVER}.")
        return AccessRefused(f"cannot {asked}: {words}. {_GRANT}.")
    if isinstance(error, hvac.exceptions.InvalidPath):
        return SecretMissing(f"cannot {asked}: there is nothing at this path ({words}). Write the secret there, or correct mount and path.")
    if isinstance(error, hvac.exceptions.RateLimitExceeded):
        return VaultOut(f"cannot {asked}: Vault at {address} is asked too often ({words}). Wait, or raise its quota.")
    if isinstance(error, hvac.exceptions.InvalidRequest | hvac.exceptions.ParamValidationError) or "unsupported operation" in words:
        return ConfigurationRefused(f"cannot {asked}: {words}. Correct what is asked.")
    return VaultOut(f"cannot {asked}: Vault at {address} failed ({words}). Its own log says more.")


def _core(error: BaseException) -> str:
    """The innermost reason: requests wraps urllib3, which wraps the system's."""
    seen: BaseException = error
    while True:
        inner = getattr(seen, "reason", None), *(part for part in seen.args if isinstance(part, BaseException)), seen.__cause__
        deeper = next((part for part in inner if isinstance(part, BaseException) and part is not seen), None)
        if deeper is None:
            break
        seen = deeper
    text = seen.strerror if isinstance(seen, OSError) and seen.strerror else str(seen)
    return " ".join(text.split())[:300] or type(seen).__name__
