"""The Envoy of a Gateway: the one way into the mesh from outside."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from presage.errors import PlaneError
from presage.local.mesh.envoy.accesslog import connections
from presage.local.mesh.envoy.bootstrap import bootstrap
from presage.local.mesh.envoy.clusters import endpoints, outbound_cluster, outbound_name
from presage.local.mesh.envoy.documents import Config, EnvoyFiles, socket_address, typed
from presage.local.mesh.envoy.jwt import token_filters
from presage.local.mesh.envoy.rbac import access_filters
from presage.local.mesh.envoy.requests import access_chain, body_limit, gateway_requests
from presage.local.mesh.envoy.routing import attached, backends, gateway_routes
from presage.local.mesh.envoy.tls import WORKLOAD, downstream, secrets
from presage.local.mesh.kinds.destinations import rule_for
from presage.local.mesh.kinds.gateways import Listener
from presage.local.mesh.kinds.names import Name
from presage.local.mesh.kinds.tokens import tokens_for
from presage.local.mesh.pods import GatewayServer, MeshPod
from presage.local.mesh.reading import Mesh

_LIMIT = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_BUFFER = 32 << 10  # bytes of a stranger's connection that may wait in memory


def gateway(
    mesh: Mesh, server: GatewayServer, pods: Sequence[MeshPod], *, certificates: Path, edge: Mapping[tuple[str, str], Path], log: Path,
) -> EnvoyFiles:
    """What the Envoy of a Gateway is told.

    certificates: the folder of its own identity, as which it calls Pods. edge: the folder of each Secret, by (namespace, name), that a
    listener names: what the gateway shows its clients, and whom it trusts (presage.local.mesh.envoy.tls). log: the file of its access log.
    Raises PlaneError where the Gateway or a Secret is missing.
    """
    name = Name(server.namespace, server.name)
    found = mesh.gateways.get(name)
    if found is None:
        raise PlaneError(f"there is no Gateway {name}. Add it, or stop its server.")
    labels = server.labels(found.labels)
    routes = {f"{found.name.name}.{listener.name}": attached(mesh, found, listener) for listener in found.listeners}
    named = {backend for those in routes.values() for backend in backends(those)}
    called = [(mesh.services[service], port) for service, number in sorted(named) if (port := mesh.port(service, number)) is not None]
    limits = [limit for limit in mesh.limits if limit.selection.finds(server.namespace, labels)]
    if len(limits) > 1:
        raise PlaneError(f"EnvoyFilters {limits[0].name} and {limits[1].name} both limit Gateway {name}. Keep one.")
    return EnvoyFiles(
        bootstrap(f"router~{server.outer}~{server.service_account}.{server.namespace}", f"{server.service_account}.{server.namespace}", server.inner),
        tuple(_listener(server, port, [listener for listener in found.listeners if listener.port == port], log)
              for port in sorted({listener.port for listener in found.listeners})),
        tuple(
            outbound_cluster(service, port, rule_for(mesh.destinations, service.host, server.namespace), pods, mesh.peers) for service, port in called
        ),
        endpoints={outbound_name(service, port): endpoints(service, port, pods, mesh.peers) for service, port in called},
        routes={name: gateway_routes(name, mesh, those) for name, those in routes.items()},
        filters=access_chain([
            *token_filters(tokens_for(mesh.tokens, server.namespace, labels)), *access_filters(mesh.policies, server.namespace, labels), body_limit(),
            *({"name": "envoy.filters.http.local_ratelimit", "typed_config": typed(_LIMIT, **limit.settings)} for limit in limits),
        ]),
        secrets=secrets(WORKLOAD, certificates) | _edge_secrets(found.listeners, edge, name),
    )


def _edge_secrets(listeners: Sequence[Listener], edge: Mapping[tuple[str, str], Path], name: Name) -> dict[str, Config]:
    found: dict[str, Config] = {}
    for listener in listeners:
        folder = edge.get((listener.secret.namespace, listener.secret.name))
        if folder is None:
            raise PlaneError(f"Gateway {name}, listener {listener.name}: there is no Secret {listener.secret}. Add it.")
        made = secrets(_edge_name(listener), folder)
        found |= made if listener.mutual else {key: secret for key, secret in made.items() if key.endswith("-certificate")}
    return found


def _edge_name(listener: Listener) -> str:
    return f"edge-{listener.secret.name}"


def _listener(server: GatewayServer, port: int, listeners: Sequence[Listener], log: Path) -> Config:
    """One port; which of its listeners a connection is for is told by the name that the client asks for in TLS."""
    chains = []
    for listener in listeners:
        name = f"{server.name}.{listener.name}"
        chain = {
            "name": name, "filters": [gateway_requests(f"gateway_{listener.name}", name, log)], "transport_socket_connect_timeout": "10s",
            "transport_socket": downstream(_edge_name(listener), mutual=listener.mutual),
        }
        chains.append(chain | ({"filter_chain_match": {"server_names": [listener.hostname]}} if listener.hostname else {}))
    inspector = {"name": "envoy.filters.listener.tls_inspector", "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")}
    return {
        "name": f"gateway.{port}", "address": socket_address(server.outer, port), "per_connection_buffer_limit_bytes": _BUFFER,
        "access_log": connections(log), "enable_reuse_port": False, "traffic_direction": "INBOUND", "listener_filters": [inspector],
        "listener_filters_timeout": "5s", "filter_chains": chains,
    }
