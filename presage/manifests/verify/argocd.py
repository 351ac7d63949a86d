"""Argo CD's Applications and projects as rules look at them: which folder an Application follows, and what its project lets it write."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from presage.manifests.verify.subjects import Object, Overlay, Written

GROUP = "argoproj.io"
COMPARE, OPTIONS, PATHS = "argocd.argoproj.io/compare-options", "argocd.argoproj.io/sync-options", "argocd.argoproj.io/manifest-generate-paths"
HOOK, QUEUE = "argocd.argoproj.io/hook", "kueue.x-k8s.io/queue-name"


def is_argo(found: Written) -> bool:
    """Whether it is one of Argo CD's own kinds: other groups have an Application, too."""
    return found.group == GROUP


def applications(overlay: Overlay) -> Iterator[Written]:
    return (found for found in overlay.written_of("Application") if is_argo(found))


def words(text: str) -> set[str]:
    """`A=b, C=d` of an annotation."""
    return {word.strip() for word in text.split(",") if word.strip()}


def sync_options(found: Written) -> Iterator[tuple[str, set[str]]]:
    """(path, options) of an Application's own, or of what an object says for itself."""
    if is_argo(found) and found.kind == "Application":
        yield "spec.syncPolicy.syncOptions", {str(option) for option in (found.spec.get("syncPolicy") or {}).get("syncOptions") or []}
    if OPTIONS in found.annotations:
        yield f"metadata.annotations[{OPTIONS}]", words(found.annotations[OPTIONS])


def folder_of(application: Written) -> tuple[str, str]:
    """(overlay, folder) of the rendering that an Application follows; empty where its path is no `…/rendered/<overlay>/<folder>`."""
    parts = str((application.spec.get("source") or {}).get("path") or "").strip("/").split("/")
    return (parts[-2], parts[-1]) if len(parts) > 2 and parts[-3] == "rendered" else ("", "")


def followed_by(application: Written) -> list[Written]:
    """The objects of the folder that an Application follows, if they are of this overlay."""
    overlay, folder = folder_of(application)
    if not folder or overlay != application.overlay.name:
        return []
    return [found for found in application.overlay.written if found.application == folder]


def brings_models(application: Written) -> bool:
    return any(found.kind == "InferenceService" for found in followed_by(application))


def project_of(application: Written) -> Object | None:
    """The AppProject that an Application names, if it is here."""
    return application.overlay.find("AppProject", application.namespace, str(application.spec.get("project") or "default"))


def reaches(project: Object, destination: dict[str, Any], namespace: str) -> bool:
    """Whether a project allows this namespace of an Application's cluster."""
    for allowed in project.spec.get("destinations") or []:
        place = any(destination.get(key) and fnmatchcase(str(destination[key]), str(allowed.get(key) or "")) for key in ("server", "name"))
        if place and fnmatchcase(namespace, str(allowed.get("namespace") or "")):
            return True
    return False


def may_write(project: Object, found: Object) -> bool:
    """Whether a project's lists allow an object, as Argo CD reads them: no list of namespaced kinds allows all, no list of the cluster's none."""
    if found.namespace:
        allowed, barred = project.spec.get("namespaceResourceWhitelist"), project.spec.get("namespaceResourceBlacklist")
        return (allowed is None or _listed(allowed, found)) and not _listed(barred or [], found)
    return _listed(project.spec.get("clusterResourceWhitelist") or [], found) and not _listed(project.spec.get("clusterResourceBlacklist") or [], found)


def _listed(entries: list[dict[str, Any]], found: Object) -> bool:
    return any(
        fnmatchcase(found.kind, str(entry.get("kind"))) and fnmatchcase(found.group, str(entry.get("group") or ""))
        and (found.namespace or fnmatchcase(found.name, str(entry.get("name") or "*")))
        for entry in entries
    )  # fmt: skip
