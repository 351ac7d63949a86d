"""AWS Signature Version 4: how a request to an object store proves who sends it, and that nothing of it was changed.

The secret key never travels; it signs method, path, headers and the SHA-256 of the body, for one day, region and service.
Source: Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header"; a test holds its published examples.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

_ALGORITHM, _SERVICE = "AWS4-HMAC-SHA256", "s3"


@dataclass(frozen=True)
class Credentials:
    """token: of temporary credentials, empty for lasting ones."""

    access_key: str
    secret_key: str
    token: str = ""


def signed_headers(
    method: str, path: str, headers: Mapping[str, str], payload_sha256: str, *, credentials: Credentials, region: str, now: datetime, query: str = ""
) -> dict[str, str]:
    """`headers` (lower-case names, `host` among them) and what proves them. path: as it is in the bucket's address, not yet encoded; query: encoded
    (`canonical_query`); now: UTC."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    signed = {**headers, "x-amz-content-sha256": payload_sha256, "x-amz-date": stamp}
    if credentials.token:
        signed["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{' '.join(signed[name].split())}\n" for name in sorted(signed))
    request = f"{method}\n{quote(path)}\n{query}\n{lines}\n{names}\n{payload_sha256}"
    scope = f"{now:%Y%m%d}/{region}/{_SERVICE}/aws4_request"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, text).hex()
    signed["authorization"] = f"{_ALGORITHM} Credential={credentials.access_key}/{scope},SignedHeaders={names},Signature={signature}"
    return signed


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Sorted and encoded as the signature wants it, and as it is sent."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(parameters.items()))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
