"""How requests are received: the HTTP connection manager with its limits, and the filters that a request passes in order.

    tokens ─► deny ─► allow ─► body (gateway) ─► limit (gateway) ─► router

Limits on headers and time come before anything else, and a body is read only once access is granted. All filters but the last are one
chain, discovered apart from the listener, so that a changed rule holds for the next request of every connection, and ends none.
"""

from collections.abc import Sequence
from pathlib import Path

from presage.local.mesh.envoy.accesslog import requests
from presage.local.mesh.envoy.documents import Config, source, typed
from presage.local.mesh.envoy.rbac import RBAC

ACCESS = "access"  # the name of the chain
LARGEST_BODY = 16 * 2**20  # bytes, as the request path's own limit

_CHAIN = "envoy.extensions.filters.http.filter_chain.v3.FilterChainConfig"

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = {
    "name": "envoy.filters.http.router", "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
}

_ACCESS = {"name": ACCESS, "config_discovery": {"config_source": source("filters", ACCESS), "type_urls": [f"type.googleapis.com/{_CHAIN}"]}}

# Paths are made canonical before any rule looks at them; one that hides a slash has no canonical form.
_PATHS: Config = {"normalize_path": True, "merge_slashes": True, "path_with_escaped_slashes_action": "REJECT_REQUEST"}
# No address is trusted: a caller from this machine could otherwise set Envoy's own headers, such as its timeouts and retries. An empty
# list would mean loopback and private addresses; this one holds nobody's.
_NO_INTERNAL: Config = {"internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]}}


def gateway_requests(statistics: str, routes: str, log: Path) -> Config:
    """At the mesh's edge: every caller is a stranger. routes: the route configuration to discover."""
    return _manager(
        statistics, {"rds": {"route_config_name": routes, "config_source": source("routes", routes)}}, log,
        http_filters=[_ACCESS, _ROUTER],
        use_remote_address=True, forward_client_cert_details="SANITIZE_SET", set_current_client_cert_details={"uri": True}, strip_any_host_port=True,
        server_name="presage", max_request_headers_kb=32, request_headers_timeout="10s", request_timeout="60s", stream_idle_timeout="60s",
        # A connection ends some day, so that a certificate revoked meanwhile does not live on in it; HTTP/1 ends between two requests.
        http1_safe_max_connection_duration=True,
        common_http_protocol_options={
            "idle_timeout": "300s", "max_headers_count": 64, "max_connection_duration": "900s", "headers_with_underscores_action": "REJECT_REQUEST",
        },
        http2_protocol_options={"max_concurrent_streams": 100, "initial_stream_window_size": 65536, "initial_connection_window_size": 1048576},
    )


def inbound_requests(statistics: str, cluster: str, log: Path) -> Config:
    """At a Pod's own door, for the program behind `cluster`. The caller's certificate is added to what earlier proxies wrote of theirs."""
    retries = {"retry_on": "reset-before-request", "num_retries": 1}
    routes = {
        "name": statistics, "validate_clusters": False,
        "virtual_hosts": [{"name": "any", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s", "retry_policy": retries}},
        ]}],
    }
    return _manager(
        statistics, {"route_config": routes}, log, http_filters=[_ACCESS, _ROUTER],
        forward_client_cert_details="APPEND_FORWARD", set_current_client_cert_details={"uri": True}, server_header_transformation="PASS_THROUGH",
        max_request_headers_kb=64, request_headers_timeout="10s", stream_idle_timeout="300s",
        common_http_protocol_options={"idle_timeout": "3600s", "max_headers_count": 100},
    )


def outbound_requests(statistics: str, routes: Config, log: Path) -> Config:
    """From the Pod's own programs to a Service."""
    return _manager(
        statistics, {"route_config": routes}, log, http_filters=[_ROUTER], server_header_transformation="PASS_THROUGH", max_request_headers_kb=64,
        stream_idle_timeout="300s",
    )


def _manager(statistics: str, routes: Config, log: Path, **settings: object) -> Config:
    config = typed(_MANAGER, stat_prefix=statistics, access_log=requests(log), **_PATHS, **_NO_INTERNAL, **routes, **settings)
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def access_chain(filters: Sequence[Config]) -> dict[str, Config]:
    """The chain's document, by its name: the filters that have something to say, in order."""
    chain = list(filters) or [{"name": "envoy.filters.http.rbac", "typed_config": typed(RBAC)}]  # Envoy takes no empty chain; without rules this lets all pass
    return {ACCESS: {"name": ACCESS, "typed_config": typed(_CHAIN, default_filter_chain={"filters": chain})}}


def body_limit() -> Config:
    limit = typed("envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit", max_request_bytes=LARGEST_BODY)
    return {"name": "envoy.filters.http.body_size_limit", "typed_config": limit}
