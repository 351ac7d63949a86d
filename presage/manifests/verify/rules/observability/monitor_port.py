"""A PodMonitor asks a port that its Pods declare."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.mesh import in_mesh
from presage.manifests.verify.monitors import monitored
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_PROXY = {"http-envoy-prom", 15090, 15020}  # of the container that Istio adds


@rule("observability/monitor-port", severity=Severity.error, remedy="name a port of the Pods", kinds=("PodMonitor",))
def monitor_port(monitor: Written) -> Iterator[Flaw]:
    pods = monitored(monitor)
    declared = {key for pod in pods for container in pod.containers for port in container.ports for key in (port.get("name"), port.get("containerPort"))}
    if any(in_mesh(pod.overlay, pod) for pod in pods):
        declared |= _PROXY
    for position, endpoint in enumerate(monitor.spec.get("podMetricsEndpoints") or []):
        port = endpoint.get("port") or endpoint.get("portNumber")
        if pods and port not in declared:
            yield monitor.flaw(f"spec.podMetricsEndpoints[{position}].port", f"is {port!r}, which none of its Pods declares")
