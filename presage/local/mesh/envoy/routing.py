"""HTTPRoutes as Envoy's route configurations: one a Gateway listener, one a Service that the Pod's own programs call."""

from collections.abc import Iterable, Sequence

from presage.local.mesh.envoy.clusters import outbound_name
from presage.local.mesh.envoy.documents import Config, seconds
from presage.local.mesh.kinds.gateways import Gateway, Listener
from presage.local.mesh.kinds.names import Name
from presage.local.mesh.kinds.routes import Backend, HTTPRoute, Match, RouteRule
from presage.local.mesh.kinds.services import Service, ServicePort
from presage.local.mesh.reading import Mesh

# What Istio retries unless it is told otherwise: what surely had no effect, at another Pod.
RETRIES: Config = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes,reset-before-request", "num_retries": 2,
    "retriable_status_codes": [503], "host_selection_retry_max_attempts": "5",
    "retry_host_predicate": [{
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
    }],
}
_LONGEST_SILENCE = 60.0  # seconds without a byte, unless a route may take longer
_FORGEABLE = "x-envoy-original-path"  # the one header of Envoy's own that it leaves to strangers
_RANKS = {"Exact": 3, "PathPrefix": 2, "RegularExpression": 1}


def attached(mesh: Mesh, gateway: Gateway, listener: Listener) -> list[tuple[HTTPRoute, list[str]]]:
    """The routes of a listener, each with the hostnames that both have; in the order in which they win over each other."""
    found = []
    for route in sorted(mesh.routes, key=lambda route: route.name):
        here = any(parent.gateway == gateway.name and parent.means(listener) for parent in route.parents)
        if here and listener.admits(gateway.name, route.name.namespace, mesh.namespaces):
            hostnames = [common for hostname in route.hostnames or ("",) if (common := intersection(hostname, listener.hostname)) is not None]
            if hostnames:
                found.append((route, hostnames))
    return found


def intersection(one: str, other: str) -> str | None:
    """The hostname that both stand for (empty: any), None where they have nothing in common."""
    if not one or not other or one == other:
        return one or other
    for wide, narrow in ((one, other), (other, one)):
        if wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:]):
            return narrow
    return None


def gateway_routes(name: str, mesh: Mesh, routes: Iterable[tuple[HTTPRoute, Sequence[str]]]) -> Config:
    """The route configuration of a listener: a virtual host a hostname, its routes in the Gateway API's order."""
    hosts: dict[str, list[tuple[Match, RouteRule]]] = {}
    for route, hostnames in routes:
        for hostname in hostnames:
            hosts.setdefault(hostname, []).extend((match, rule) for rule in route.rules for match in rule.matches)
    virtual_hosts = [
        {"name": hostname or "any", "domains": [hostname or "*"], "routes": [_route(mesh, match, rule) for match, rule in sorted(found, key=_precedence)]}
        for hostname, found in sorted(hosts.items())
    ]
    # Clusters are made before the routes that name them and go after them; checking here too would only refuse the step between.
    return {"name": name, "virtual_hosts": virtual_hosts, "validate_clusters": False, "request_headers_to_remove": [_FORGEABLE]}


def service_route(name: str, service: Service, port: ServicePort) -> Config:
    """Everything to one port of a Service."""
    route = {"match": {"prefix": "/"}, "route": {"cluster": outbound_name(service, port), "timeout": "0s", "retry_policy": RETRIES}}
    return {"name": name, "virtual_hosts": [{"name": service.host, "domains": ["*"], "routes": [route]}], "validate_clusters": False}


def backends(routes: Iterable[tuple[HTTPRoute, Sequence[str]]]) -> list[tuple[Name, int]]:
    """The Services' ports that the routes lead to, each once."""
    return sorted({(backend.service, backend.port) for route, _ in routes for rule in route.rules for backend in rule.backends})


def _precedence(entry: tuple[Match, RouteRule]) -> tuple[int, int, bool, int, int]:
    match = entry[0]
    return -_RANKS[match.path_kind], -len(match.path), not match.method, -len(match.headers), -len(match.parameters)


def _route(mesh: Mesh, match: Match, rule: RouteRule) -> Config:
    action: Config = {"timeout": seconds(rule.timeout or 0), "retry_policy": dict(RETRIES)}
    if rule.try_timeout:
        action["retry_policy"]["per_try_timeout"] = seconds(rule.try_timeout)
    if rule.timeout and rule.timeout >= _LONGEST_SILENCE:
        action["idle_timeout"] = seconds(rule.timeout + 5)
    live = [backend for backend in rule.backends if backend.weight]
    if len(live) == 1:
        action["cluster"] = _cluster(mesh, live[0])
    else:
        action["weighted_clusters"] = {"clusters": [{"name": _cluster(mesh, backend), "weight": backend.weight} for backend in live]}
    found: Config = {"match": _match(match), "route": action}
    if rule.set_headers or rule.add_headers:
        found["request_headers_to_add"] = [_header(pair, "OVERWRITE_IF_EXISTS_OR_ADD") for pair in rule.set_headers]
        found["request_headers_to_add"] += [_header(pair, "APPEND_IF_EXISTS_OR_ADD") for pair in rule.add_headers]
    if rule.remove_headers:
        found["request_headers_to_remove"] = list(rule.remove_headers)
    return found


def _cluster(mesh: Mesh, backend: Backend) -> str:
    port = mesh.port(backend.service, backend.port)
    assert port is not None  # read_mesh refused a backend that leads nowhere
    return outbound_name(mesh.services[backend.service], port)


def _match(match: Match) -> Config:
    found: Config = {}
    if match.path_kind == "Exact":
        found["path"] = match.path
    elif match.path_kind == "RegularExpression":
        found["safe_regex"] = {"regex": match.path}
    elif prefix := match.path.rstrip("/"):
        found["path_separated_prefix"] = prefix
    else:
        found["prefix"] = "/"
    headers = [{"name": name, "string_match": _value(value, expression)} for name, value, expression in match.headers]
    if match.method:
        headers.append({"name": ":method", "string_match": {"exact": match.method}})
    if headers:
        found["headers"] = headers
    if match.parameters:
        found["query_parameters"] = [{"name": name, "string_match": _value(value, expression)} for name, value, expression in match.parameters]
    return found


def _value(value: str, expression: bool) -> Config:
    return {"safe_regex": {"regex": value}} if expression else {"exact": value}


def _header(pair: tuple[str, str], action: str) -> Config:
    # A percent sign in a value would begin a command of Envoy's.
    return {"header": {"key": pair[0], "value": pair[1].replace("%", "%%")}, "append_action": action}
