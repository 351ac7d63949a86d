"""A ConfigMap holds no private key: it is not a Secret."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


@rule("secrets/no-key-in-config", severity=Severity.error, remedy="keep it in Vault, and write a VaultStaticSecret", kinds=("ConfigMap",))
def no_key_in_config(found: Written) -> Iterator[Flaw]:
    for key, value in (found.manifest.get("data") or {}).items():
        if _PRIVATE.search(str(value)):
            yield found.flaw(f"data[{key}]", "holds a private key")
