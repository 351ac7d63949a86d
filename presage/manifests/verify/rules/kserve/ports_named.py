"""Several ports have names: the API server refuses a Service without."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object


@rule("kserve/ports-named", severity=Severity.error, remedy="name each port of the container", kinds=("Service",))
def ports_named(service: Object) -> Iterator[Flaw]:
    ports = service.spec.get("ports") or []
    if len(ports) > 1:
        for position, port in enumerate(ports):
            if not port.get("name"):
                yield service.flaw(f"spec.ports[{position}].name", "is missing beside other ports")
