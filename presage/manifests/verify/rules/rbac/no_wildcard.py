"""A role names what it grants: no wildcard."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("rbac/no-wildcard", severity=Severity.error, remedy="name the groups, resources and verbs", kinds=("Role", "ClusterRole"))
def no_wildcard(role: Written) -> Iterator[Flaw]:
    for position, one in enumerate(role.manifest.get("rules") or []):
        for field in ("apiGroups", "resources", "verbs"):
            if "*" in (one.get(field) or []):
                yield role.flaw(f"rules[{position}].{field}", "holds *")
