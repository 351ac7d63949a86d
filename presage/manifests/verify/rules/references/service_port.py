"""A Service sends to a port that its Pods have."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.selectors import selects
from presage.manifests.verify.subjects import Object


@rule("references/service-port", severity=Severity.error, remedy="write the number or the name of a container's port", kinds=("Service",))
def service_port(service: Object) -> Iterator[Flaw]:
    wished = service.spec.get("selector")
    pods = [pod for pod in service.overlay.pods if wished and pod.namespace == service.namespace and selects({"matchLabels": wished}, pod.labels)]
    declared = {key for pod in pods for container in pod.containers for port in container.ports for key in (port.get("name"), port.get("containerPort"))}
    for position, port in enumerate(service.spec.get("ports") or []):
        target = port.get("targetPort", port.get("port"))
        if pods and target not in declared:
            yield service.flaw(f"spec.ports[{position}].targetPort", f"is {target!r}, which no container of its Pods declares")
