"""The documents an Envoy reads: its bootstrap once, and discovery documents whenever they change.

They lie in one folder, which is also where the Envoy runs, so that every path among them is relative:

    bootstrap.json listeners.json clusters.json
    endpoints/ routes/ filters/ secrets/      one document a resource: Envoy wants it so
    admin.sock envoy.log                      made by the Envoy
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from presage.files import canonical_json, sha256_bytes

Config = dict[str, Any]
Kind = Literal["endpoints", "routes", "filters", "secrets"]

ADMIN_SOCKET = "admin.sock"
BOOTSTRAP, LISTENERS, CLUSTERS = "bootstrap.json", "listeners.json", "clusters.json"
KINDS: tuple[Kind, ...] = ("endpoints", "routes", "filters", "secrets")

_TYPES = {
    LISTENERS: "envoy.config.listener.v3.Listener", CLUSTERS: "envoy.config.cluster.v3.Cluster", "endpoints": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "routes": "envoy.config.route.v3.RouteConfiguration", "filters": "envoy.config.core.v3.TypedExtensionConfig",
    "secrets": "envoy.extensions.transport_sockets.tls.v3.Secret",
}


@dataclass(frozen=True)
class EnvoyFiles:
    """Everything one Envoy reads. endpoints: by cluster; routes, filters, secrets: by the name they are asked for."""

    bootstrap: Config
    listeners: tuple[Config, ...] = ()
    clusters: tuple[Config, ...] = ()
    endpoints: Mapping[str, Config] = field(default_factory=dict)
    routes: Mapping[str, Config] = field(default_factory=dict)
    filters: Mapping[str, Config] = field(default_factory=dict)
    secrets: Mapping[str, Config] = field(default_factory=dict)

    def resources(self, kind: Kind) -> Mapping[str, Config]:
        return {"endpoints": self.endpoints, "routes": self.routes, "filters": self.filters, "secrets": self.secrets}[kind]

    def discovery(self) -> Iterator[tuple[str, Config]]:
        """(path within the folder, document) of each discovery document."""
        for kind in KINDS:
            for name, resource in self.resources(kind).items():
                yield place(kind, name), document(kind, [resource])
        yield CLUSTERS, document(CLUSTERS, list(self.clusters))
        yield LISTENERS, document(LISTENERS, list(self.listeners))


def place(kind: Kind, name: str) -> str:
    """Where a resource's document lies, within the folder."""
    return f"{kind}/{name.replace('|', '_')}.json"


def source(kind: Kind, name: str) -> Config:
    """The reference by which a document asks for a resource."""
    return {"path_config_source": {"path": place(kind, name)}, "resource_api_version": "V3"}


def document(kind: str, resources: list[Config]) -> Config:
    """A discovery response; its version is the digest of what it holds."""
    return {
        "version_info": sha256_bytes(canonical_json(resources))[:16],
        "resources": [{"@type": f"type.googleapis.com/{_TYPES[kind]}", **resource} for resource in resources],
    }


def typed(name: str, **settings: Any) -> Config:
    """A typed configuration of Envoy's: `typed("envoy.config.….v3.Message", field=value)`."""
    return {"@type": f"type.googleapis.com/{name}", **settings}


def seconds(value: float) -> str:
    """A duration as Envoy reads it."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def socket_address(address: str, port: int) -> Config:
    return {"socket_address": {"address": address, "port_value": port}}
