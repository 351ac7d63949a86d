"""Who brings models writes nothing by which they could give themselves more: no Secret, role, project, policy, nothing of the cluster."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from presage.manifests.verify.argocd import applications, brings_models, is_argo
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_BARRED = (("", "Secret"), ("rbac.authorization.k8s.io", "Role"), ("rbac.authorization.k8s.io", "RoleBinding"))
_GROUPS = ("argoproj.io", "admissionregistration.k8s.io")


@rule("gitops/tenant-confined", severity=Severity.error, remedy="move it into a project of the platform's", kinds=("AppProject",))
def tenant_confined(project: Written) -> Iterator[Flaw]:
    if not is_argo(project) or not any(one.spec.get("project") == project.name and brings_models(one) for one in applications(project.overlay)):
        return
    for position, entry in enumerate(project.spec.get("clusterResourceWhitelist") or []):
        yield project.flaw(f"spec.clusterResourceWhitelist[{position}]", f"allows {entry.get('kind')} to a project of models")
    for position, entry in enumerate(project.spec.get("namespaceResourceWhitelist") or []):
        group, kind = str(entry.get("group") or ""), str(entry.get("kind"))
        barred = any(fnmatchcase(one, group) and fnmatchcase(name, kind) for one, name in _BARRED)
        if barred or any(fnmatchcase(one, group) for one in _GROUPS):
            yield project.flaw(f"spec.namespaceResourceWhitelist[{position}]", f"allows {kind} to a project of models")
