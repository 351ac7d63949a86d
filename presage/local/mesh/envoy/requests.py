"""How requests are received: the HTTP connection manager with its limits, and the filters that a request passes in order.

    tokens ─► deny ─► allow ─► body (gateway) ─► limit (gateway) ─► router

Limits on headers and time come before anything else, and a body is read only once access is granted. The filters' settings are
discovered apart from the listener, so that a changed rule holds for the next request of every connection, and ends none.
"""

from pathlib import Path

from presage.local.mesh.envoy.accesslog import requests
from presage.local.mesh.envoy.documents import Config, source, typed
from presage.local.mesh.envoy.jwt import JWT
from presage.local.mesh.envoy.rbac import RBAC

LARGEST_BODY = 16 * 2**20  # bytes, as the request path's own limit
LIMIT = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = {
    "name": "envoy.filters.http.router", "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
}

# Paths are made canonical before any rule looks at them; one that hides a slash has no canonical form.
_PATHS: Config = {"normalize_path": True, "merge_slashes": True, "path_with_escaped_slashes_action": "REJECT_REQUEST"}
# No address is trusted: otherwise a loopback client could set Envoy's own headers, such as its timeouts and retries.
_NO_INTERNAL: Config = {"internal_address_config": {"unix_sockets": False}}


def gateway_requests(statistics: str, routes: str, log: Path) -> Config:
    """At the mesh's edge: every caller is a stranger. routes: the route configuration to discover."""
    return _manager(
        statistics, {"rds": {"route_config_name": routes, "config_source": source("routes", routes)}}, log,
        http_filters=[*_access(), _body(), _discovered("limit", LIMIT), _ROUTER],
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
        statistics, {"route_config": routes}, log, http_filters=[*_access(), _ROUTER],
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


def _access() -> list[Config]:
    return [_discovered("tokens", JWT), _discovered("deny", RBAC), _discovered("allow", RBAC)]


def _body() -> Config:
    limit = typed("envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit", max_request_bytes=LARGEST_BODY)
    return {"name": "envoy.filters.http.body_size_limit", "typed_config": limit}


def _discovered(name: str, kind: str) -> Config:
    return {"name": name, "config_discovery": {"config_source": source("filters", name), "type_urls": [f"type.googleapis.com/{kind}"]}}
