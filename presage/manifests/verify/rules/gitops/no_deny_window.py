"""No window denies syncs of models: it would stop a rollback, too. Freezes hold promotions back, where they are decided."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from presage.manifests.verify.argocd import applications, brings_models, is_argo
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/no-deny-window", severity=Severity.error, remedy="leave models out of it; write freezes into policies/rollout.yaml", kinds=("AppProject",))
def no_deny_window(project: Written) -> Iterator[Flaw]:
    if not is_argo(project):
        return
    models = [one for one in applications(project.overlay) if one.spec.get("project") == project.name and brings_models(one)]
    for position, window in enumerate(project.spec.get("syncWindows") or []):
        held = sorted(one.name for one in models if window.get("kind") == "deny" and _matches(window, one))
        if held:
            yield project.flaw(f"spec.syncWindows[{position}]", f"denies syncs of {', '.join(held)}")


def _matches(window: dict[str, Any], application: Written) -> bool:
    destination = application.spec.get("destination") or {}
    clusters = [destination.get("server", ""), destination.get("name", "")]
    names = {"applications": [application.name], "namespaces": [destination.get("namespace", "")], "clusters": clusters}
    found = [any(fnmatchcase(str(name), str(pattern)) for pattern in window[key] for name in names[key]) for key in names if window.get(key)]
    return all(found) and bool(found) if window.get("andOperator") else any(found)
