"""A certificate is issued anew before it ends."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("vault/renewed", severity=Severity.error, remedy="write expiryOffset, a third of ttl or so", kinds=("VaultPKISecret",))
def renewed(secret: Written) -> Iterator[Flaw]:
    if not secret.spec.get("expiryOffset"):
        yield secret.flaw("spec.expiryOffset", "is missing: the operator renews nothing without it")
