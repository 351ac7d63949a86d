"""No secret is in Git: a Secret here has no data but public certificates."""

import base64
import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_PUBLIC = re.compile(r"\A\s*(-----BEGIN (CERTIFICATE|PUBLIC KEY|X509 CRL)-----[^-]+-----END \2-----\s*)+\Z")


@rule("secrets/not-in-git", severity=Severity.error, remedy="keep it in Vault, and write a VaultStaticSecret", kinds=("Secret",))
def not_in_git(secret: Written) -> Iterator[Flaw]:
    for field in ("data", "stringData"):
        for key, value in (secret.manifest.get(field) or {}).items():
            if not _PUBLIC.match(_plain(field, str(value))):
                yield secret.flaw(f"{field}[{key}]", "has a value")


def _plain(field: str, value: str) -> str:
    if field == "stringData":
        return value
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError:
        return value
