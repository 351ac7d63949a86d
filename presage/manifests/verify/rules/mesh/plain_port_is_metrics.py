"""Plain text is for metrics alone: a port that is taken out of mutual TLS serves nothing else."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.mesh import selector_of
from presage.manifests.verify.registry import rule
from presage.manifests.verify.selectors import selects
from presage.manifests.verify.subjects import Written


@rule(
    "mesh/plain-port-is-metrics", severity=Severity.error, kinds=("PeerAuthentication",),
    remedy="give metrics a port of their own, named metrics, and except that",
)  # fmt: skip
def plain_port_is_metrics(policy: Written) -> Iterator[Flaw]:
    pods = [pod for pod in policy.overlay.pods if pod.namespace == policy.namespace and selects(selector_of(policy), pod.labels)]
    names = {port.get("containerPort"): port.get("name") for pod in pods for container in pod.containers for port in container.ports}
    for port, settings in (policy.spec.get("portLevelMtls") or {}).items():
        mode, name = settings.get("mode"), names.get(int(port))
        if mode in ("DISABLE", "PERMISSIVE") and name is not None and name != "metrics":
            yield policy.flaw(f"spec.portLevelMtls[{port}]", f"takes plain text at the port {name!r}")
