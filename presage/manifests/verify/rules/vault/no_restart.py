"""A rotated secret is re-read from its file: KServe undoes the operator's restarts at once."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.serving import made_by_kserve
from presage.manifests.verify.subjects import Written


@rule(
    "vault/no-restart", severity=Severity.error, kinds=("VaultStaticSecret", "VaultPKISecret", "VaultDynamicSecret"),
    remedy="remove rolloutRestartTargets; the program re-reads its files",
)  # fmt: skip
def no_restart(secret: Written) -> Iterator[Flaw]:
    for position, target in enumerate(secret.spec.get("rolloutRestartTargets") or []):
        name = str(target.get("name"))
        if made_by_kserve(secret.overlay, str(target.get("kind")), secret.namespace, name) is not None:
            yield secret.flaw(f"spec.rolloutRestartTargets[{position}]", f"is {name}, a Deployment of KServe's")
