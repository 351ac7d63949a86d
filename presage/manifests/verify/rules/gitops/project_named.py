"""An Application is of a project of its own, not of the one that allows whatever nobody thought of."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import is_argo
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/project-named", severity=Severity.error, remedy="name an AppProject of its own", kinds=("Application", "ApplicationSet"))
def project_named(found: Written) -> Iterator[Flaw]:
    if not is_argo(found):
        return
    of_set = found.kind == "ApplicationSet"
    spec = ((found.spec.get("template") or {}).get("spec") or {}) if of_set else found.spec
    if spec.get("project") in (None, "", "default"):
        yield found.flaw("spec.template.spec.project" if of_set else "spec.project", f"is {spec.get('project') or 'missing'}")
