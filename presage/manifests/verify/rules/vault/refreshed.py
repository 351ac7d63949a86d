"""A secret that changes in Vault changes here."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("vault/refreshed", severity=Severity.warning, remedy="write refreshAfter", kinds=("VaultStaticSecret",))
def refreshed(secret: Written) -> Iterator[Flaw]:
    if not secret.spec.get("refreshAfter"):
        yield secret.flaw("spec.refreshAfter", "is missing: the secret is read once")
