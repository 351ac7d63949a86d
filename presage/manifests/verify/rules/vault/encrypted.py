"""Vault is asked over TLS, and its certificate is checked."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("vault/encrypted", severity=Severity.error, remedy="write an https address and caCertSecretRef, and skipTLSVerify: false", kinds=("VaultConnection",))
def encrypted(connection: Written) -> Iterator[Flaw]:
    if not str(connection.spec.get("address", "")).startswith("https://"):
        yield connection.flaw("spec.address", f"is {connection.spec.get('address')!r}")
    if connection.spec.get("skipTLSVerify"):
        yield connection.flaw("spec.skipTLSVerify", "is true")
