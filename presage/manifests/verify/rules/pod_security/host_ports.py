"""No container takes a port of its node."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pod-security/host-ports", severity=Severity.error, remedy="remove hostPort; a Service or the gateway brings traffic in")
def host_ports(container: Container) -> Iterator[Flaw]:
    for position, port in enumerate(container.ports):
        if port.get("hostPort"):
            yield container.flaw(f"ports[{position}].hostPort", f"is {port['hostPort']}")
