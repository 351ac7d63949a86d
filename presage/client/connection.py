"""How an endpoint is reached: its address, mutual TLS, a token. httpx2 is loaded when the first connection is opened."""

import ssl
from pathlib import Path
from typing import NamedTuple

import msgspec

from presage.errors import InputError


class Access(msgspec.Struct, frozen=True):
    """How to reach a path. url: what people call it; address: where it is connected to, if its name is known to no DNS.

    certificate, key, ca: files for mutual TLS with a gateway; token: file of the token it asks for.
    """

    url: str
    address: str | None = None
    certificate: str | None = None
    key: str | None = None
    ca: str | None = None
    token: str | None = None


class Answered(NamedTuple):
    """status: None where nothing was answered; because: then why. retry_after: seconds, where the answer names them."""

    status: int | None
    body: bytes = b""
    retry_after: float | None = None
    because: str = ""


class Connection:
    """One endpoint. Connections are kept open; certificates and tokens are read when it is opened."""

    def __init__(self, access: Access, seconds: float) -> None:
        import httpx2

        self.url = access.url
        self._errors = (httpx2.TransportError, httpx2.DecodingError)
        self._extensions: dict[str, str] = {}
        headers: dict[str, str] = {}
        verify: bool | ssl.SSLContext = True
        if access.address:
            headers["host"] = access.url.partition("://")[2]
            self._extensions["sni_hostname"] = httpx2.URL(access.url).host
        try:
            if access.ca:
                verify = ssl.create_default_context(cafile=access.ca)
                if access.certificate and access.key:
                    verify.load_cert_chain(access.certificate, access.key)
            if access.token:
                headers["authorization"] = f"Bearer {Path(access.token).read_text().strip()}"
            self._client: httpx2.Client = httpx2.Client(
                base_url=access.address or access.url, timeout=seconds, trust_env=False, verify=verify, headers=headers
            )
        except (OSError, httpx2.InvalidURL) as error:
            raise InputError(f"{access.url[:200]}: {error}. Name the files and the URL again.") from None

    def ask(self, method: str, path: str, body: bytes | None = None, *, seconds: float | None = None) -> Answered:
        """One request. seconds: how long the answer may take, told to the server too; None: as the connection was opened. Never raises."""
        headers = {"content-type": "application/json"} if body else {}
        if seconds is not None:
            headers["x-envoy-expected-rq-timeout-ms"] = str(max(1, int(seconds * 1000)))
        try:
            if seconds is None:
                answer = self._client.request(method, path, content=body, headers=headers, extensions=self._extensions)
            else:
                answer = self._client.request(method, path, content=body, headers=headers, extensions=self._extensions, timeout=seconds)
        except self._errors as error:
            return Answered(None, because=str(error) or type(error).__name__)
        return Answered(answer.status_code, answer.content, _seconds(answer.headers.get("retry-after", "")))

    def close(self) -> None:
        self._client.close()


def sentence(content: bytes) -> str:
    """What a refusal says; empty where it is none of the path's."""
    try:
        document = msgspec.json.decode(content)
    except msgspec.MsgspecError:
        return ""
    return str(document.get("error", "")) if isinstance(document, dict) else ""


def _seconds(header: str) -> float | None:
    return float(header) if header.isascii() and header.isdigit() and len(header) < 7 else None
