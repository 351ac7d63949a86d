"""Whatever an Application brings, its project allows: else the whole of it is never applied."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from presage.manifests.verify.argocd import followed_by, is_argo, may_write, project_of, reaches
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/allowed", severity=Severity.error, remedy="add it to the project (manifests/argocd), or move it", kinds=("Application",))
def allowed(application: Written) -> Iterator[Flaw]:
    if not is_argo(application):
        return
    project = project_of(application)
    if project is None:
        yield application.flaw("spec.project", f"is {application.spec.get('project')!r}, and no AppProject is called so")
        return
    destination = application.spec.get("destination") or {}
    repository = str((application.spec.get("source") or {}).get("repoURL"))
    if not any(fnmatchcase(repository, str(pattern)) for pattern in project.spec.get("sourceRepos") or []):
        yield application.flaw("spec.source.repoURL", f"is {repository}, which project {project.name} does not allow")
    if not reaches(project, destination, str(destination.get("namespace") or "")):
        yield application.flaw("spec.destination", f"is not among the destinations of project {project.name}")
    for found in followed_by(application):
        if not may_write(project, found):
            yield found.flaw("kind", f"is {found.kind}, which project {project.name} does not allow")
        elif found.namespace and not reaches(project, destination, found.namespace):
            yield found.flaw("metadata.namespace", f"is {found.namespace}, which project {project.name} does not reach")
