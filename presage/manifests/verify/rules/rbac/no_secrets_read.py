"""No role reads Secrets: who needs one mounts it."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_READING = frozenset({"get", "list", "watch"})


@rule("rbac/no-secrets-read", severity=Severity.error, remedy="take secrets out of the role", kinds=("Role", "ClusterRole"))
def no_secrets_read(role: Written) -> Iterator[Flaw]:
    for position, one in enumerate(role.manifest.get("rules") or []):
        if "" in (one.get("apiGroups") or []) and "secrets" in (one.get("resources") or []) and _READING & set(one.get("verbs") or []):
            yield role.flaw(f"rules[{position}].resources", "hold secrets")
