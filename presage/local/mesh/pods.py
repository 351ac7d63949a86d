"""Who is in the mesh: Pods with their addresses and identities.

Each Pod of the mesh has an outer address, where only its Envoy listens, and an inner one, where its programs do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TRUST_DOMAIN = "cluster.local"
STATS_PORT = 15090  # at the inner address: Envoy's metrics as Prometheus text, as Istio has them

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"  # the label by which Istio tells a Gateway's own Pod


@dataclass(frozen=True)
class MeshPod:
    """One Pod, running or about to. outer, inner: loopback addresses, equal where it has no sidecar. ports: (name, containerPort) of all
    its containers. ready: whether a Service may send to it."""

    name: str
    namespace: str
    service_account: str
    labels: Mapping[str, str]
    outer: str
    inner: str
    ports: tuple[tuple[str, int], ...]
    ready: bool
    sidecar: bool

    @property
    def identity(self) -> str:
        """Its SPIFFE id: `spiffe://cluster.local/ns/models-network/sa/incident`."""
        return spiffe_id(self.namespace, self.service_account)


@dataclass(frozen=True)
class GatewayServer:
    """The Pod that Istio makes for the Gateway of this name and class `istio`, identified and labelled as Istio does it."""

    name: str
    namespace: str
    outer: str
    inner: str

    @property
    def service_account(self) -> str:
        return f"{self.name}-istio"

    @property
    def identity(self) -> str:
        return spiffe_id(self.namespace, self.service_account)

    def labels(self, infrastructure: Mapping[str, str]) -> dict[str, str]:
        """The Pod's labels: those of the Gateway's `infrastructure`, and Istio's own."""
        return {
            **infrastructure, GATEWAY_NAME: self.name, "gateway.networking.k8s.io/gateway-class-name": "istio",
            "service.istio.io/canonical-name": self.service_account, "sidecar.istio.io/inject": "false",
        }


def spiffe_id(namespace: str, service_account: str) -> str:
    """The identity of a service account in this trust domain."""
    return f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{service_account}"
