"""Services: which Pods stand behind a name, and on which of their ports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from presage.local.mesh.kinds.names import Name, Note, selects, take_map, whole_spec
from presage.local.mesh.pods import MeshPod
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

Protocol = Literal["http", "http2", "tcp"]

# A port's protocol by its appProtocol, or by its name up to the first dash, as Istio reads both.
_PROTOCOLS: Mapping[str, Protocol] = {
    "http": "http", "grpc": "http2", "http2": "http2", "h2c": "http2", "kubernetes.io/h2c": "http2", "grpc-web": "http",
    "tcp": "tcp", "tls": "tcp", "https": "tcp", "redis": "tcp", "mongo": "tcp", "mysql": "tcp",
}
_WITHOUT_EFFECT = (
    "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy", "externalTrafficPolicy", "allocateLoadBalancerNodePorts",
    "trafficDistribution",
)


@dataclass(frozen=True)
class ServicePort:
    """target: a container's port, by number or by name."""

    name: str
    port: int
    target: int | str
    protocol: Protocol


@dataclass(frozen=True)
class Service:
    """selector None: no Pods of its own. unready: whether it sends to Pods that are not ready, too."""

    name: Name
    selector: Mapping[str, str] | None
    ports: tuple[ServicePort, ...]
    unready: bool

    @property
    def host(self) -> str:
        return f"{self.name.name}.{self.name.namespace}.svc.cluster.local"

    def selected(self, pods: Sequence[MeshPod]) -> list[MeshPod]:
        """The Pods its selector finds, ready or not."""
        if not self.selector:
            return []
        return [pod for pod in pods if pod.namespace == self.name.namespace and selects(self.selector, pod.labels)]

    def endpoints(self, port: ServicePort, pods: Sequence[MeshPod]) -> list[tuple[MeshPod, int]]:
        """The Pods it sends to now, each with the port there; a Pod without the port that is named is left out, as Kubernetes does."""
        found = []
        for pod in self.selected(pods):
            number = port.target if isinstance(port.target, int) else dict(pod.ports).get(port.target)
            if number is not None and (pod.ready or self.unready):
                found.append((pod, number))
        return sorted(found, key=lambda endpoint: (endpoint[0].name, endpoint[1]))


def read_service(manifest: Manifest, note: Note) -> Service:
    """Raises FieldError."""
    spec = whole_spec(manifest)
    for known in _WITHOUT_EFFECT:
        spec.optional(known, object)
    kind = spec.take("type", str, "ClusterIP")
    if kind not in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.refuse("type", f"is {kind!r}: there is no DNS here to name something outside. Write ClusterIP.")
    if kind != "ClusterIP":
        note(f"Service of type {kind}: it is reached from this machine only, at its Pods' addresses", label(manifest))
    if spec.take("sessionAffinity", str, "None") != "None":
        spec.refuse("sessionAffinity", "is not None: a client is not kept to one Pod here. Remove it.")
    selector = take_map(spec, "selector") if "selector" in spec else None
    unready = spec.take("publishNotReadyAddresses", bool, False)
    ports = tuple(_read_port(port) for port in spec.each("ports"))
    spec.finish()
    return Service(Name.of(manifest), selector, ports, unready)


def _read_port(fields: Fields) -> ServicePort:
    name, port = fields.take("name", str, ""), fields.take("port", int)
    target = fields.take("targetPort", object, port)
    if not isinstance(target, int | str) or isinstance(target, bool):
        raise FieldError(fields.place, f"{fields.path}.targetPort", f"is {target!r}, neither a port's number nor its name.")
    if fields.take("protocol", str, "TCP") != "TCP":
        fields.refuse("protocol", "is not TCP, all that the mesh carries. Remove the port.")
    fields.optional("nodePort", int)
    said = fields.take("appProtocol", str, "") or name
    fields.finish()
    protocol = _PROTOCOLS.get(said) or _PROTOCOLS.get(said.partition("-")[0], "http")
    return ServicePort(name, port, int(target) if isinstance(target, str) and target.isdigit() else target, protocol)
