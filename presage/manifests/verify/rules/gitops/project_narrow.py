"""A project allows what it names: no `*`, and a list of namespaced kinds, since without one it allows them all."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import is_argo
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_LISTS = (
    ("destinations", ("server", "name", "namespace")), ("clusterResourceWhitelist", ("group", "kind")), ("namespaceResourceWhitelist", ("group", "kind")),
    ("destinationServiceAccounts", ("server", "namespace")),
)  # fmt: skip


@rule("gitops/project-narrow", severity=Severity.error, remedy="name what it needs, and nothing more", kinds=("AppProject",))
def project_narrow(project: Written) -> Iterator[Flaw]:
    if not is_argo(project):
        return
    if project.spec.get("namespaceResourceWhitelist") is None:
        yield project.flaw("spec.namespaceResourceWhitelist", "is missing, so every namespaced kind is allowed")
    for field in ("sourceRepos", "sourceNamespaces"):
        for position, text in enumerate(project.spec.get(field) or []):
            if "*" in str(text):
                yield project.flaw(f"spec.{field}[{position}]", f"is {text!r}")
    for field, keys in _LISTS:
        for position, entry in enumerate(project.spec.get(field) or []):
            for key in keys:
                if "*" in str(entry.get(key) or ""):
                    yield project.flaw(f"spec.{field}[{position}].{key}", f"is {entry[key]!r}")
