"""A route sends to a Service that is there, at a port that it has."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("references/service", severity=Severity.error, remedy="name a Service of the route's namespace and one of its ports")
def service(overlay: Overlay) -> Iterator[Flaw]:
    for route in overlay.of_kind("HTTPRoute", "GRPCRoute"):
        for position, one in enumerate(route.spec.get("rules") or []):
            for place, backend in enumerate(one.get("backendRefs") or []):
                path = f"spec.rules[{position}].backendRefs[{place}]"
                namespace, name = backend.get("namespace") or route.namespace, str(backend.get("name"))
                there = overlay.find("Service", namespace, name)
                if there is None and namespace in overlay.doubtful:
                    continue
                if there is None:
                    yield route.flaw(f"{path}.name", f"is {name!r}, and no Service in {namespace} is called so")
                elif backend.get("port") not in {port.get("port") for port in there.spec.get("ports") or []}:
                    yield route.flaw(f"{path}.port", f"is {backend.get('port')}, which the Service {name} does not have")
