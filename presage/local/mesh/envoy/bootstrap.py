"""What an Envoy is told once, at its start: who it is, where its documents lie, what it never exceeds, where its metrics are."""

from presage.local.mesh.envoy.documents import ADMIN_SOCKET, CLUSTERS, LISTENERS, Config, socket_address, typed
from presage.local.mesh.pods import STATS_PORT

_CONNECTIONS = 4096
_METRICS = "metrics"


def bootstrap(node: str, cluster: str, inner: str) -> Config:
    """node: this Envoy's id; cluster: what it stands before; inner: the address where its metrics are served."""
    return {
        "node": {"id": node, "cluster": cluster},
        # A socket in the folder, for its owner alone: at a port any local user could change what the Envoy does.
        "admin": {"address": {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}, "ignore_global_conn_limit": True},
        "dynamic_resources": {"lds_config": _watched(LISTENERS), "cds_config": _watched(CLUSTERS)},
        "static_resources": {"listeners": [_metrics_listener(inner)], "clusters": [_metrics_cluster()]},
        "overload_manager": {"resource_monitors": [{
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": typed(
                "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig", max_active_downstream_connections=_CONNECTIONS,
            ),
        }]},
    }


def _watched(path: str) -> Config:
    return {"path_config_source": {"path": f"./{path}"}, "resource_api_version": "V3"}  # Envoy takes no path without a folder


def _metrics_cluster() -> Config:
    endpoint = {"endpoint": {"address": {"pipe": {"path": ADMIN_SOCKET}}}}
    return {"name": _METRICS, "type": "STATIC", "load_assignment": {"cluster_name": _METRICS, "endpoints": [{"lb_endpoints": [endpoint]}]}}


def _metrics_listener(inner: str) -> Config:
    """The only part of the admin interface that is shown, and only to read."""
    match = {"path": "/stats/prometheus", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}
    manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", stat_prefix=_METRICS,
        route_config={"virtual_hosts": [{"name": _METRICS, "domains": ["*"], "routes": [{"match": match, "route": {"cluster": _METRICS}}]}]},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": typed("envoy.extensions.filters.http.router.v3.Router")}],
    )
    return {
        "name": _METRICS, "address": socket_address(inner, STATS_PORT), "ignore_global_conn_limit": True, "enable_reuse_port": False,
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    }
