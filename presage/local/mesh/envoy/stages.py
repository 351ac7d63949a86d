"""The order in which an Envoy's documents change, so that no request ever finds half of a change.

Make before break: whom to call, then where they are, then which requests go to them, then where requests come in; what is not
called any more goes last.
"""

import copy
from dataclasses import dataclass, field

from presage.local.mesh.envoy.documents import CLUSTERS, KINDS, LISTENERS, Config, EnvoyFiles, Kind, document, place

_CONTEXT = ("common_tls_context", "combined_validation_context", "default_validation_context")
_NAMES = "match_typed_subject_alt_names"


@dataclass(frozen=True)
class Stage:
    """Documents that are written together and must all be live before the next stage. what: for sentences."""

    what: str
    documents: dict[str, Config] = field(default_factory=dict)


def stages(before: EnvoyFiles, after: EnvoyFiles) -> list[Stage]:
    """The way from one to the other; stages in which nothing changes are left out."""
    old = dict(before.discovery())
    now = dict(old)
    found = []
    for what, documents in (
        ("certificates and rules", _of(after, "secrets") | _of(after, "filters")),
        ("Services", _of(after, "endpoints", {name: each for name, each in after.endpoints.items() if name not in before.endpoints})
         | {CLUSTERS: document(CLUSTERS, _both(before, after))}),
        ("Pods of Services", _of(after, "endpoints")),
        ("routes", _of(after, "routes")),
        ("listeners", {LISTENERS: document(LISTENERS, list(after.listeners))}),
        ("Services that are left", {CLUSTERS: document(CLUSTERS, list(after.clusters))}),
    ):
        changed = {path: wanted for path, wanted in documents.items() if now.get(path) != wanted}
        now |= changed
        if changed:
            found.append(Stage(what, changed))
    return found


def _of(files: EnvoyFiles, kind: Kind, resources: dict[str, Config] | None = None) -> dict[str, Config]:
    assert kind in KINDS
    found = files.resources(kind) if resources is None else resources
    return {place(kind, name): document(kind, [resource]) for name, resource in found.items()}


def _both(before: EnvoyFiles, after: EnvoyFiles) -> list[Config]:
    """The clusters of both; of one that changed the new settings, with the servers' identities of both as long as both may be called."""
    old, new = ({cluster["name"]: cluster for cluster in files.clusters} for files in (before, after))
    return [_joined(old[name], new[name]) if name in old and name in new else new.get(name) or old[name] for name in sorted(old | new)]


def _joined(old: Config, new: Config) -> Config:
    joined = copy.deepcopy(new)
    accepted = [matcher for socket in _sockets(old) for matcher in _names(socket)]
    for socket in _sockets(joined):
        names = _names(socket)
        names += [matcher for matcher in accepted if matcher not in names]
    # Whether Pods are called in plain text is known once their endpoints are: what is said of it here comes last.
    joined.pop("metadata", None)
    return joined | ({"metadata": old["metadata"]} if "metadata" in old else {})


def _sockets(cluster: Config) -> list[Config]:
    """The TLS settings of a cluster."""
    found = [cluster.get("transport_socket", {}), *(match["transport_socket"] for match in cluster.get("transport_socket_matches", []))]
    return [socket["typed_config"] for socket in found if "common_tls_context" in socket.get("typed_config", {})]


def _names(settings: Config) -> list[Config]:
    for key in _CONTEXT:
        settings = settings[key]
    names: list[Config] = settings[_NAMES]
    return names
