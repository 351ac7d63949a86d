"""A route attaches: its Gateway is there, lets its namespace in, and has a listener for its host."""

from collections.abc import Iterator
from typing import Any

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.selectors import selects
from presage.manifests.verify.subjects import Object

_GROUP = "gateway.networking.k8s.io"


@rule("references/gateway", severity=Severity.error, remedy="name a Gateway whose listener takes the namespace and the host", kinds=("HTTPRoute", "GRPCRoute"))
def gateway(route: Object) -> Iterator[Flaw]:
    for position, parent in enumerate(route.spec.get("parentRefs") or []):
        if (parent.get("group", _GROUP), parent.get("kind", "Gateway")) != (_GROUP, "Gateway"):
            continue
        path, where, name = f"spec.parentRefs[{position}]", parent.get("namespace") or route.namespace, str(parent.get("name"))
        found = route.overlay.find("Gateway", where, name)
        if found is None:
            yield route.flaw(f"{path}.name", f"is {where}/{name}, and no Gateway is called so")
            continue
        meant = [one for one in found.spec.get("listeners") or [] if parent.get("sectionName", one.get("name")) == one.get("name")]
        listeners = [one for one in meant if _lets_in(route, found, one)]
        if not listeners:
            yield route.flaw(path, f"is {where}/{name}, whose listeners let no route of namespace {route.namespace} in")
        hosts = route.spec.get("hostnames") or []
        if listeners and hosts and not any(_fits(str(host), one.get("hostname")) for host in hosts for one in listeners):
            yield route.flaw("spec.hostnames", f"are {', '.join(hosts)}, for which {where}/{name} has no listener")


def _lets_in(route: Object, found: Object, listener: dict[str, Any]) -> bool:
    namespaces = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    how = namespaces.get("from", "Same")
    if how == "Selector":
        space = route.overlay.namespaces.get(route.namespace)
        return space is None or selects(namespaces.get("selector") or {}, {"kubernetes.io/metadata.name": space.name, **space.labels})
    return how == "All" or route.namespace == found.namespace


def _fits(host: str, pattern: str | None) -> bool:
    if not pattern or host == pattern:
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:])
