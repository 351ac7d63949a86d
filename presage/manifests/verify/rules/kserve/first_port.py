"""Port 80 of a predictor is HTTP: KServe gives it to the first port of the serving container."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import SERVICE_LABEL, Object

_OTHERS = ("grpc", "h2c", "metrics", "prom")


@rule("kserve/first-port", severity=Severity.error, remedy="write the HTTP port first, in the runtime (a model's own stand before it)", kinds=("Service",))
def first_port(service: Object) -> Iterator[Flaw]:
    ports = service.spec.get("ports") or []
    if service.made and SERVICE_LABEL in service.labels and ports:
        name = str(ports[0].get("name", "")).lower()
        if any(word in name for word in _OTHERS):
            yield service.flaw("spec.ports[0]", f"is {ports[0].get('targetPort')}, named {name!r}")
