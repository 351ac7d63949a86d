"""The Envoy beside a Pod's programs: the one door to them, and their way out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from presage.errors import PlaneError
from presage.local.mesh.envoy.accesslog import PLAIN, connections, requests
from presage.local.mesh.envoy.bootstrap import bootstrap
from presage.local.mesh.envoy.clusters import endpoints, inbound_cluster, inbound_name, outbound_cluster, outbound_name
from presage.local.mesh.envoy.documents import Config, EnvoyFiles, socket_address, typed
from presage.local.mesh.envoy.jwt import token_filters
from presage.local.mesh.envoy.rbac import access_filters, connection_filters
from presage.local.mesh.envoy.requests import access_chain, inbound_requests, outbound_requests
from presage.local.mesh.envoy.routing import service_route
from presage.local.mesh.envoy.tls import WORKLOAD, downstream, mesh_identities, secrets
from presage.local.mesh.kinds.destinations import rule_for
from presage.local.mesh.kinds.peers import mode_of, require_one_word
from presage.local.mesh.kinds.services import Service, ServicePort
from presage.local.mesh.kinds.tokens import tokens_for
from presage.local.mesh.pods import STATS_PORT, MeshPod
from presage.local.mesh.reading import Mesh

_BUFFER = 1 << 20  # bytes of a connection that may wait in memory


def sidecar(
    mesh: Mesh, pod: MeshPod, pods: Sequence[MeshPod], *, certificates: Path, log: Path, outbound: Mapping[str, str] | None = None,
) -> EnvoyFiles:
    """What the Envoy of `pod` is told.

    pods: all Pods of the plane, for the Services that this one calls. certificates: the folder of its identity (presage.local.mesh.envoy.tls).
    log: the file of its access log, in a folder that exists. outbound: the address, this Pod's own, at which its programs reach a Service,
    by the Service's full name; one that a Sidecar object does not admit (`Mesh.callable_from`) gets no listener. Raises PlaneError, FieldError.
    """
    require_one_word(mesh.peers, [pod])
    _require_free(pod)
    listeners = [_inbound(mesh, pod, port, log) for _, port in pod.ports]
    clusters = [inbound_cluster(pod, port) for _, port in pod.ports]
    called = _called(mesh, pod, outbound or {})
    for service, port, address in called:
        listeners.append(_outbound(service, port, address, log))
        clusters.append(outbound_cluster(service, port, rule_for(mesh.destinations, service.host, pod.namespace), pods, mesh.peers))
    return EnvoyFiles(
        bootstrap(f"sidecar~{pod.outer}~{pod.name}.{pod.namespace}", f"{pod.service_account}.{pod.namespace}", pod.inner),
        tuple(listeners), tuple(clusters),
        endpoints={outbound_name(service, port): endpoints(service, port, pods, mesh.peers) for service, port, _ in called},
        filters=access_chain([
            *token_filters(tokens_for(mesh.tokens, pod.namespace, pod.labels)), *access_filters(mesh.policies, pod.namespace, pod.labels),
        ]),
        secrets=secrets(WORKLOAD, certificates),
    )


def _require_free(pod: MeshPod) -> None:
    if STATS_PORT in (port for _, port in pod.ports):
        raise PlaneError(f"Pod {pod.name} has a container port {STATS_PORT}, where the metrics of its Envoy are. Choose another.")


def _speaks_http(mesh: Mesh, pod: MeshPod, number: int) -> bool:
    """Whether a port of the Pod does: no Service says otherwise."""
    named = {name for name, port in pod.ports if port == number}
    leads = (port for service in mesh.services.values() if service.selected([pod]) for port in service.ports if port.target in {number, *named})
    return all(port.protocol != "tcp" for port in leads)


def _inbound(mesh: Mesh, pod: MeshPod, port: int, log: Path) -> Config:
    """One port of the Pod, as PeerAuthentication wants it: by mutual TLS, in plain text, or either."""
    mode, name = mode_of(mesh.peers, pod, port), f"inbound_{port}"
    if _speaks_http(mesh, pod, port):
        filters = [inbound_requests(name, inbound_name(port), log)]
    else:
        filters = [*connection_filters(mesh.policies, pod.namespace, pod.labels, name), passed_through(name, inbound_name(port), log)]
    mutual = {
        "name": "mutual", "filters": filters, "transport_socket_connect_timeout": "10s",
        "transport_socket": downstream(WORKLOAD, mutual=True, identities=mesh_identities()),
    }
    plain = {"name": PLAIN, "filters": filters}
    found = _listener(f"inbound.{port}", pod.outer, port, log) | {"traffic_direction": "INBOUND"}
    if mode == "STRICT":
        return found | {"filter_chains": [mutual]}
    if mode == "DISABLE":
        return found | {"filter_chains": [plain]}
    inspector = {"name": "envoy.filters.listener.tls_inspector", "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")}
    return found | {
        "listener_filters": [inspector],
        "filter_chains": [mutual | {"filter_chain_match": {"transport_protocol": "tls"}}, plain | {"filter_chain_match": {"transport_protocol": "raw_buffer"}}],
    }


def _called(mesh: Mesh, pod: MeshPod, outbound: Mapping[str, str]) -> list[tuple[Service, ServicePort, str]]:
    by_host = {service.host: service for service in mesh.services.values()}
    for host in outbound:
        if host not in by_host:
            raise PlaneError(f"{host} has an address, and there is no such Service. Give addresses to Services of the mesh.")
    admitted = mesh.callable_from(pod)
    return [(by_host[host], port, address) for host, address in sorted(outbound.items()) if host in admitted for port in by_host[host].ports]


def _outbound(service: Service, port: ServicePort, address: str, log: Path) -> Config:
    name = f"outbound.{service.name.namespace}.{service.name.name}.{port.port}"
    if port.protocol == "tcp":
        filters = [passed_through(name, outbound_name(service, port), log)]
    else:
        filters = [outbound_requests(name, service_route(name, service, port), log)]
    return _listener(name, address, port.port, log) | {"traffic_direction": "OUTBOUND", "filter_chains": [{"name": PLAIN, "filters": filters}]}


def passed_through(statistics: str, cluster: str, log: Path) -> Config:
    """Connections of whatever protocol, byte by byte."""
    settings = {"stat_prefix": statistics, "cluster": cluster, "access_log": requests(log)}
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": typed("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", **settings)}


def _listener(name: str, address: str, port: int, log: Path) -> Config:
    return {
        "name": name, "address": socket_address(address, port), "per_connection_buffer_limit_bytes": _BUFFER, "access_log": connections(log),
        "enable_reuse_port": False,  # a port that somebody else has is an error, not a share of the callers
    }
