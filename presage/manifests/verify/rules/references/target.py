"""A policy of the mesh is for a Gateway or Service that is there."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_KINDS = ("AuthorizationPolicy", "RequestAuthentication", "EnvoyFilter")


@rule("references/target", severity=Severity.error, remedy="name one of its own namespace", kinds=_KINDS)
def target(found: Written) -> Iterator[Flaw]:
    targets = [*(found.spec.get("targetRefs") or []), *([found.spec["targetRef"]] if found.spec.get("targetRef") else [])]
    for position, reference in enumerate(targets):
        kind, name = str(reference.get("kind")), str(reference.get("name"))
        if found.overlay.find(kind, found.namespace, name) is None:
            yield found.flaw(f"spec.targetRefs[{position}].name", f"is {kind} {name!r}, which its namespace does not have")
