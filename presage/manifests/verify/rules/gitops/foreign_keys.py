"""Argo CD's own keys, and those that people click on, are not written by hand."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_KEYS = ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/refresh")
_LINK = "link.argocd.argoproj.io/"


@rule("gitops/foreign-keys", severity=Severity.error, remedy="remove it")
def foreign_keys(found: Written) -> Iterator[Flaw]:
    for key, value in found.annotations.items():
        if key in _KEYS or key.startswith(_LINK):
            yield found.flaw(f"metadata.annotations[{key}]", f"is {value!r}")
    if "app.kubernetes.io/instance" in found.labels:
        yield found.flaw("metadata.labels[app.kubernetes.io/instance]", "is the label by which Argo CD may track objects")
