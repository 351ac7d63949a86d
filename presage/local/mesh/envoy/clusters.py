"""Clusters: the Services that are called, and the programs of the Pod itself."""

from collections.abc import Sequence

from presage.local.mesh.envoy.documents import Config, seconds, socket_address, source, typed
from presage.local.mesh.envoy.tls import plain, upstream
from presage.local.mesh.kinds.destinations import ConnectionPool, DestinationRule, OutlierDetection
from presage.local.mesh.kinds.peers import PeerAuthentication, mode_of
from presage.local.mesh.kinds.services import Service, ServicePort
from presage.local.mesh.pods import MeshPod, spiffe_id

_UNLIMITED = 2**32 - 1
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_CONNECT = 10.0  # seconds, Istio's default
_IDLE_AT_PROGRAM = 60.0  # seconds: shorter than a program keeps an idle connection (65), so that it is never closed under a request


def outbound_name(service: Service, port: ServicePort) -> str:
    """As Istio names it, so that metrics have the same labels here and there."""
    return f"outbound|{port.port}||{service.host}"


def outbound_cluster(
    service: Service, port: ServicePort, rule: DestinationRule | None, pods: Sequence[MeshPod], peers: Sequence[PeerAuthentication],
) -> Config:
    """A port of a Service, called in mutual TLS where the Pod behind it has a sidecar that takes it, as nobody but one of its service accounts."""
    pool = rule.pool if rule else ConnectionPool()
    http2 = pool.http2 or port.protocol == "http2"
    # Where no Pod is there to be called no identity is right: an account has a name.
    identities = sorted({pod.identity for pod in service.selected(pods)}) or [spiffe_id(service.name.namespace, "")]
    secure = upstream(identities, service.host, "h2" if http2 else "http/1.1")
    sockets: Config
    if rule is not None and rule.mutual:
        sockets = {"transport_socket": secure}
    else:
        sockets = {"transport_socket_matches": [
            {"name": "mutual", "match": {"tlsMode": "istio"}, "transport_socket": secure}, {"name": "plain", "match": {}, "transport_socket": plain()},
        ]}
    # Envoy goes on using a connection when an endpoint's TLS changes; a cluster that changed it makes anew.
    plainly = [f"{pod.outer}:{number}" for pod, number in service.endpoints(port, pods) if not _mutual(pod, number, peers)]
    outliers = rule.outliers if rule else None
    name = outbound_name(service, port)
    return {
        "name": name, "type": "EDS", "eds_cluster_config": {"service_name": name, "eds_config": source("endpoints", name)},
        "connect_timeout": seconds(pool.connect_timeout or _CONNECT), "lb_policy": rule.balancer if rule else "LEAST_REQUEST",
        "circuit_breakers": _circuit_breakers(pool),
        # Without a word of minHealthPercent an ejected Pod gets nothing, even where all are ejected.
        "common_lb_config": {"healthy_panic_threshold": {"value": outliers.least_healthy if outliers else 0}},
        "typed_extension_protocol_options": {_OPTIONS: _outbound_options(pool, http2)},
        **({"outlier_detection": _outlier_detection(outliers)} if outliers else {}), **sockets,
        **({"metadata": {"filter_metadata": {"presage": {"plain": plainly}}}} if plainly else {}),
    }


def endpoints(service: Service, port: ServicePort, pods: Sequence[MeshPod], peers: Sequence[PeerAuthentication]) -> Config:
    """The ready Pods behind a port of a Service."""
    found = []
    for pod, number in service.endpoints(port, pods):
        endpoint: Config = {"endpoint": {"address": socket_address(pod.outer, number)}}
        if _mutual(pod, number, peers):
            endpoint["metadata"] = {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}}
        found.append(endpoint)
    return {"cluster_name": outbound_name(service, port), "endpoints": [{"lb_endpoints": found}]}


def _mutual(pod: MeshPod, port: int, peers: Sequence[PeerAuthentication]) -> bool:
    return pod.sidecar and mode_of(peers, pod, port) != "DISABLE"


def inbound_cluster(pod: MeshPod, port: int) -> Config:
    """The program of the Pod that listens on `port` of its inner address, spoken to as the caller speaks."""
    name = inbound_name(port)
    options = {
        "common_http_protocol_options": {"idle_timeout": seconds(_IDLE_AT_PROGRAM)},
        "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}},
    }
    return {
        "name": name, "type": "STATIC", "connect_timeout": seconds(_CONNECT), "circuit_breakers": _circuit_breakers(ConnectionPool()),
        "typed_extension_protocol_options": {_OPTIONS: typed(_OPTIONS, **options)},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(pod.inner, port)}}]}]},
    }


def inbound_name(port: int) -> str:
    return f"inbound|{port}||"


def _circuit_breakers(pool: ConnectionPool) -> Config:
    limits = {
        "max_connections": pool.connections, "max_pending_requests": pool.pending_requests, "max_requests": pool.requests, "max_retries": pool.retries,
    }
    return {"thresholds": [{name: _UNLIMITED if limit is None else limit for name, limit in limits.items()} | {"track_remaining": True}]}


def _outbound_options(pool: ConnectionPool, http2: bool) -> Config:
    common: Config = {}
    if pool.idle_timeout:
        common["idle_timeout"] = seconds(pool.idle_timeout)
    if pool.requests_per_connection:
        common["max_requests_per_connection"] = pool.requests_per_connection
    if pool.connection_duration:
        common["max_connection_duration"] = seconds(pool.connection_duration)
    protocol: Config = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    return typed(_OPTIONS, explicit_http_config=protocol, **({"common_http_protocol_options": common} if common else {}))


def _outlier_detection(outliers: OutlierDetection) -> Config:
    found: Config = {"enforcing_success_rate": 0}
    for name, enforcing, errors in (
        ("consecutive_5xx", "enforcing_consecutive_5xx", outliers.errors_5xx),
        ("consecutive_gateway_failure", "enforcing_consecutive_gateway_failure", outliers.errors_gateway),
    ):
        if errors is not None:
            found |= {name: errors, enforcing: 100 if errors else 0}
    if outliers.interval is not None:
        found["interval"] = seconds(outliers.interval)
    if outliers.base_ejection_time is not None:
        found["base_ejection_time"] = seconds(outliers.base_ejection_time)
    if outliers.most_ejected:
        found["max_ejection_percent"] = outliers.most_ejected
    return found
