"""What Prometheus scrapes in plain text is excepted from mutual TLS: else the target is down."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.mesh import in_mesh, port_mode
from presage.manifests.verify.monitors import monitored
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule(
    "mesh/metrics-reachable", severity=Severity.error, kinds=("PodMonitor",),
    remedy="except the port in a PeerAuthentication of the workload (portLevelMtls: DISABLE)",
)  # fmt: skip
def metrics_reachable(monitor: Written) -> Iterator[Flaw]:
    for position, endpoint in enumerate(monitor.spec.get("podMetricsEndpoints") or []):
        if str(endpoint.get("scheme", "http")).lower() == "https":
            continue
        for pod in monitored(monitor):
            for container in pod.containers:
                for port in container.ports:
                    number = int(port.get("containerPort", 0))
                    asked = endpoint.get("port") == port.get("name") or endpoint.get("portNumber") == number
                    if asked and in_mesh(pod.overlay, pod) and port_mode(pod.overlay, pod, number) == "STRICT":
                        yield monitor.flaw(f"spec.podMetricsEndpoints[{position}].port", f"is {number} of {pod.owner.name}, which takes mutual TLS alone")
