"""The one EnvoyFilter that the plane honours: a coarse local limit of requests at a Gateway.

A patch of Envoy's configuration can mean anything; this shape means one thing, and every other is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from presage.local.mesh.kinds.names import Name, take_map, whole_spec
from presage.local.mesh.kinds.selection import Selection, read_target
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest

_LIMIT = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_TYPED_STRUCTS = ("type.googleapis.com/udpa.type.v1.TypedStruct", "type.googleapis.com/xds.type.v3.TypedStruct")
_MANAGER, _ROUTER, _NAME = "envoy.filters.network.http_connection_manager", "envoy.filters.http.router", "envoy.filters.http.local_ratelimit"
_SETTINGS = ("stat_prefix", "token_bucket", "filter_enabled", "filter_enforced", "response_headers_to_add", "status")
_SHAPE = "The plane honours one HTTP_FILTER patch that puts envoy.filters.http.local_ratelimit before the router of a Gateway."


@dataclass(frozen=True)
class LocalLimit:
    """settings: the filter's own configuration, as written."""

    name: Name
    selection: Selection
    settings: Mapping[str, Any]


def read_envoy_filter(manifest: Manifest) -> LocalLimit:
    """Raises FieldError."""
    spec = whole_spec(manifest)
    name = Name.of(manifest)
    workload = spec.inside("workloadSelector")
    labels = take_map(workload, "labels")
    workload.finish()
    gateways = tuple(read_target(target, name.namespace) for target in spec.each("targetRefs"))
    patches = spec.each("configPatches")
    spec.optional("priority", int)
    spec.finish()
    if len(patches) != 1:
        raise FieldError(spec.place, "spec.configPatches", f"holds {len(patches)} patches. {_SHAPE}")
    return LocalLimit(name, Selection(name.namespace, labels, gateways), _read_patch(patches[0]))


def _read_patch(fields: Fields) -> Mapping[str, Any]:
    where, match, patch = fields.take("applyTo", str), fields.inside("match"), fields.inside("patch")
    fields.finish()
    context = match.take("context", str, "ANY")
    listener = match.inside("listener")
    match.finish()
    chain = listener.inside("filterChain")
    listener.finish()
    manager = chain.inside("filter")
    chain.finish()
    router = manager.inside("subFilter")
    names = manager.take("name", str, ""), router.take("name", str, _ROUTER)
    manager.finish()
    router.finish()
    operation, value = patch.take("operation", str), patch.inside("value")
    patch.finish()
    said = where, context, operation, value.take("name", str, ""), *names
    if said != ("HTTP_FILTER", "GATEWAY", "INSERT_BEFORE", _NAME, _MANAGER, _ROUTER):
        raise FieldError(fields.place, fields.path, f"says {', '.join(word for word in said if word)}. {_SHAPE}")
    typed = value.inside("typed_config")
    value.finish()
    if (kind := typed.take("@type", str)) in _TYPED_STRUCTS:
        kind = typed.take("type_url", str)
        inner = typed.inside("value")
        typed.finish()
        typed = inner
    if kind != _LIMIT:
        raise FieldError(typed.place, f"{typed.path}.@type", f"is {kind}. {_SHAPE}")
    settings = {name: typed.take(name, object) for name in _SETTINGS if name in typed}
    typed.finish()
    if "token_bucket" not in settings or "stat_prefix" not in settings:
        raise FieldError(typed.place, typed.path, "lacks stat_prefix or token_bucket: it would limit nothing. Write them.")
    return settings
