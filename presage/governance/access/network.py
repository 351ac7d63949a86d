"""The packets that may come in, below the mesh's rules: from whose namespace, to which Pods and ports."""

from collections.abc import Iterator
from typing import Any

from presage.governance.access.compiled import Compiled, manifest, predictor
from presage.governance.access.document import GATEWAY, MONITORING, AccessPolicy
from presage.governance.access.mesh import GRPC_PORT, METRICS_PORT, SERVING_PORT

_PROXY_METRICS_PORT = 15090  # Istio's own
_NAMESPACE = "kubernetes.io/metadata.name"  # the one label of a namespace that nobody can change


def network_allows(policy: AccessPolicy) -> Iterator[Compiled]:
    """NetworkPolicies of every domain."""
    for domain, namespace in policy.domains.items():
        callers = [client for client in policy.clients_of(domain) if client.of]
        for service in sorted({client.of for client in callers if client.of}):
            clients = [client for client in callers if client.of == service]
            sources = {GATEWAY: {"gateway.networking.k8s.io/gateway-name": "presage"}} if any(client.origin == "outside" for client in clients) else {}
            sources |= {str(client.identity).partition("/")[0]: {} for client in clients if client.origin == "mesh"}
            spec = _ingress(predictor(service), [_from(source, labels) for source, labels in sources.items()], SERVING_PORT, GRPC_PORT)
            because = f"Who calls {service}: the gateway for clients outside, and the namespaces of clients in the mesh. Which of their Pods, the mesh says."
            found = manifest("networking.k8s.io/v1", "NetworkPolicy", f"{service}-clients", namespace, spec=spec)
            yield Compiled(domain, tuple(client.id for client in clients), because, found)
        if readers := policy.clients_of(domain, "monitoring"):
            sources_of_metrics = [_from(MONITORING, {"app.kubernetes.io/name": reader.name}) for reader in readers]
            spec = _ingress({}, sources_of_metrics, METRICS_PORT, _PROXY_METRICS_PORT)
            found = manifest("networking.k8s.io/v1", "NetworkPolicy", "metrics", namespace, spec=spec)
            yield Compiled(domain, tuple(reader.id for reader in readers), readers[0].rationale, found)


def _ingress(pods: dict[str, str], sources: list[dict[str, Any]], *ports: int) -> dict[str, Any]:
    selector: dict[str, Any] = {"matchLabels": pods} if pods else {}
    return {
        "podSelector": selector, "policyTypes": ["Ingress"],
        "ingress": [{"from": sources, "ports": [{"protocol": "TCP", "port": port} for port in ports]}],
    }  # fmt: skip


def _from(namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    source: dict[str, Any] = {"namespaceSelector": {"matchLabels": {_NAMESPACE: namespace}}}
    return source | ({"podSelector": {"matchLabels": labels}} if labels else {})
