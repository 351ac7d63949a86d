"""Kubernetes objects read into a Mesh: everything that its Envoys are told, apart from which Pods run now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from presage.local.mesh.kinds.access import AuthorizationPolicy, read_authorization_policy
from presage.local.mesh.kinds.destinations import DestinationRule, read_destination_rule, require_one_rule
from presage.local.mesh.kinds.egress import Egress, may_call, read_sidecar
from presage.local.mesh.kinds.gateways import Gateway, read_gateway
from presage.local.mesh.kinds.limits import LocalLimit, read_envoy_filter
from presage.local.mesh.kinds.names import Name, Note
from presage.local.mesh.kinds.peers import PeerAuthentication, read_peer_authentication, require_one_word
from presage.local.mesh.kinds.routes import HTTPRoute, Parent, read_http_route
from presage.local.mesh.kinds.services import Service, ServicePort, read_service
from presage.local.mesh.kinds.tokens import RequestAuthentication, read_request_authentication
from presage.local.mesh.pods import MeshPod
from presage.manifests.fields import FieldError
from presage.manifests.objects import Manifest, group, label

_NOTED = {
    "Telemetry": "Telemetry: every Envoy of the plane writes its access log and shows its metrics",
    "GatewayClass": "",
}
_GROUPS = ("networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io", "gateway.networking.k8s.io")


@dataclass(frozen=True)
class Mesh:
    """namespaces: the labels of each."""

    services: Mapping[Name, Service]
    gateways: Mapping[Name, Gateway]
    routes: tuple[HTTPRoute, ...]
    peers: tuple[PeerAuthentication, ...]
    tokens: tuple[RequestAuthentication, ...]
    policies: tuple[AuthorizationPolicy, ...]
    destinations: tuple[DestinationRule, ...]
    limits: tuple[LocalLimit, ...]
    egress: tuple[Egress, ...]
    namespaces: Mapping[str, Mapping[str, str]]

    def port(self, service: Name, number: int) -> ServicePort | None:
        """The port of a Service, None where either is missing."""
        found = self.services.get(service)
        return next((port for port in found.ports if port.port == number), None) if found else None

    def callable_from(self, pod: MeshPod) -> list[str]:
        """The full names of the Services that the Envoy of a Pod takes calls to."""
        return [service.host for name, service in sorted(self.services.items()) if may_call(self.egress, pod, name, service.host)]


def read_mesh(objects: Sequence[Manifest], not_honoured: Note, state: Path) -> Mesh:
    """The mesh that `objects` describe; kinds that have nothing to say about it are passed over.

    not_honoured(text, who) hears of what is known and cannot be kept on one machine. state: where files named by the annotation
    plane.presage/jwks lie. Raises FieldError for an unknown field, a kind of Istio or the Gateway API that the plane does not
    honour, and a name that leads nowhere.
    """
    services, gateways, routes, peers, tokens, policies, destinations, limits, egress = {}, {}, [], [], [], [], [], [], []
    namespaces: dict[str, Mapping[str, str]] = {}
    for manifest in sorted(objects, key=Name.of):
        kind, name = (group(manifest), manifest["kind"]), Name.of(manifest)
        match kind:
            case ("", "Service"):
                services[name] = read_service(manifest, not_honoured)
            case ("", "Namespace"):
                namespaces[name.name] = {**(manifest["metadata"].get("labels") or {}), "kubernetes.io/metadata.name": name.name}
            case ("gateway.networking.k8s.io", "Gateway"):
                gateways[name] = read_gateway(manifest, not_honoured)
            case ("gateway.networking.k8s.io", "HTTPRoute"):
                routes.append(read_http_route(manifest))
            case ("security.istio.io", "PeerAuthentication"):
                peers.append(read_peer_authentication(manifest))
            case ("security.istio.io", "RequestAuthentication"):
                tokens.append(read_request_authentication(manifest, state, not_honoured))
            case ("security.istio.io", "AuthorizationPolicy"):
                policies.append(read_authorization_policy(manifest))
            case ("networking.istio.io", "DestinationRule"):
                destinations.append(read_destination_rule(manifest, not_honoured))
            case ("networking.istio.io", "EnvoyFilter"):
                limits.append(read_envoy_filter(manifest))
            case ("networking.istio.io", "Sidecar"):
                egress.append(read_sidecar(manifest, not_honoured))
            case (named, other) if named in _GROUPS:
                if other not in _NOTED:
                    raise FieldError(label(manifest), "kind", f"{other} is not honoured on the plane. Leave it out of the overlay, or run it in a cluster.")
                if _NOTED[other]:
                    not_honoured(_NOTED[other], label(manifest))
    mesh = Mesh(
        services, gateways, tuple(routes), tuple(peers), tuple(tokens), tuple(policies), tuple(destinations), tuple(limits), tuple(egress), namespaces,
    )
    _require_names(mesh, not_honoured)
    require_one_word(mesh.peers, ())
    require_one_rule(mesh.destinations)
    return mesh


def _require_names(mesh: Mesh, note: Note) -> None:
    """Raise FieldError where an object names another that is not there."""
    for route in mesh.routes:
        place = f"HTTPRoute {route.name}"
        for parent in route.parents:
            _require_listener(mesh, route.name.namespace, parent, place)
        for position, rule in enumerate(route.rules):
            for backend in rule.backends:
                if mesh.port(backend.service, backend.port) is None:
                    there = backend.service in mesh.services
                    problem = f"Service {backend.service} has no port {backend.port}" if there else f"there is no Service {backend.service}"
                    raise FieldError(place, f"spec.rules[{position}].backendRefs", f"leads nowhere: {problem}. Mend the name, or add it.")
    for kind, policies in (("RequestAuthentication", mesh.tokens), ("AuthorizationPolicy", mesh.policies), ("EnvoyFilter", mesh.limits)):
        for policy in policies:
            for gateway in policy.selection.gateways:
                if Name(policy.selection.namespace, gateway) not in mesh.gateways:
                    raise FieldError(f"{kind} {policy.name}", "spec.targetRefs", f"names Gateway {gateway}, which is not there. Mend the name.")
    hosts = {service.host for service in mesh.services.values()}
    for destination in mesh.destinations:
        if "*" not in destination.host and destination.host not in hosts:
            note(f"DestinationRule for {destination.host}: there is no such Service here", f"DestinationRule {destination.name}")


def _require_listener(mesh: Mesh, namespace: str, parent: Parent, place: str) -> None:
    gateway = mesh.gateways.get(parent.gateway)
    if gateway is None:
        raise FieldError(place, "spec.parentRefs", f"names Gateway {parent.gateway}, which is not there. Mend the name.")
    fitting = [listener for listener in gateway.listeners if parent.means(listener)]
    if not fitting:
        raise FieldError(place, "spec.parentRefs", f"names a listener that Gateway {parent.gateway} does not have. Mend sectionName or port.")
    if not any(listener.admits(parent.gateway, namespace, mesh.namespaces) for listener in fitting):
        problem = f"attaches to Gateway {parent.gateway}, which admits no routes of its namespace. Widen allowedRoutes there."
        raise FieldError(place, "spec.parentRefs", problem)
