"""An ApplicationSet writes its project out: one that is filled in lets whoever feeds the generator choose it."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import is_argo
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/project-literal", severity=Severity.error, remedy="write the project's name; make a set for each project", kinds=("ApplicationSet",))
def project_literal(found: Written) -> Iterator[Flaw]:
    project = str(((found.spec.get("template") or {}).get("spec") or {}).get("project") or "")
    if is_argo(found) and "{{" in project:
        yield found.flaw("spec.template.spec.project", f"is {project!r}")
