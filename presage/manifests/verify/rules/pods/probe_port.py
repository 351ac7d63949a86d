"""A probe asks a port that the container declares."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pods/probe-port", severity=Severity.error, remedy="name a port of the container, or declare it")
def probe_port(container: Container) -> Iterator[Flaw]:
    declared = {port.get("name") for port in container.ports} | {port.get("containerPort") for port in container.ports}
    for field, probe in container.probes:
        for kind in ("httpGet", "tcpSocket", "grpc"):
            port = (probe.get(kind) or {}).get("port")
            if port is not None and port not in declared:
                yield container.flaw(f"{field}.{kind}.port", f"is {port!r}, which the container does not declare")
