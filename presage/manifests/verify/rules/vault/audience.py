"""A login at Vault is bound to an audience: a token meant for somebody else is not accepted."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("vault/audience", severity=Severity.error, remedy="write audiences: [vault]", kinds=("VaultAuth",))
def audience(auth: Written) -> Iterator[Flaw]:
    method = str(auth.spec.get("method"))
    if method in ("jwt", "kubernetes") and not (auth.spec.get(method) or {}).get("audiences"):
        yield auth.flaw(f"spec.{method}.audiences", "are missing")
