"""A binding names a role that is there: one that names none grants nothing, without a word."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_BUILT_IN = ("admin", "cluster-admin", "edit", "view")


@rule("references/role", severity=Severity.error, remedy="add the role, or name another", kinds=("RoleBinding", "ClusterRoleBinding"))
def role(found: Written) -> Iterator[Flaw]:
    reference = found.manifest.get("roleRef") or {}
    kind, name = str(reference.get("kind")), str(reference.get("name"))
    if kind == "ClusterRole" and (name in _BUILT_IN or name.startswith("system:")):
        return
    if found.overlay.find(kind, found.namespace if kind == "Role" else "", name) is None:
        yield found.flaw("roleRef.name", f"is {kind} {name!r}, which is not there")
