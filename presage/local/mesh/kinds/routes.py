"""HTTPRoutes: which requests go to which Services, in which shares."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from presage.local.mesh.kinds.gateways import Listener
from presage.local.mesh.kinds.names import Name, take_duration, take_whole, whole_spec
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

PathKind = Literal["Exact", "PathPrefix", "RegularExpression"]
_PATHS: Mapping[str, PathKind] = {"Exact": "Exact", "PathPrefix": "PathPrefix", "RegularExpression": "RegularExpression"}
_HOSTNAME = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True)
class Match:
    """headers, parameters: (name, value, whether the value is a regular expression)."""

    path_kind: PathKind
    path: str
    method: str
    headers: tuple[tuple[str, str, bool], ...]
    parameters: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True)
class Backend:
    """A share of the requests, `weight` of the sum of all weights, for a port of a Service."""

    service: Name
    port: int
    weight: int


@dataclass(frozen=True)
class RouteRule:
    """matches: any of them. set_headers, add_headers: (name, value). timeouts in seconds; None: none, 0 too."""

    matches: tuple[Match, ...]
    backends: tuple[Backend, ...]
    set_headers: tuple[tuple[str, str], ...]
    add_headers: tuple[tuple[str, str], ...]
    remove_headers: tuple[str, ...]
    timeout: float | None
    try_timeout: float | None


@dataclass(frozen=True)
class Parent:
    """The Gateway a route attaches to: all its listeners, or the one of that name, or those of that port."""

    gateway: Name
    listener: str
    port: int | None

    def means(self, listener: Listener) -> bool:
        return self.listener in ("", listener.name) and self.port in (None, listener.port)


@dataclass(frozen=True)
class HTTPRoute:
    """hostnames empty: those of the listener."""

    name: Name
    hostnames: tuple[str, ...]
    parents: tuple[Parent, ...]
    rules: tuple[RouteRule, ...]


def read_http_route(manifest: Manifest) -> HTTPRoute:
    """Raises FieldError."""
    spec = whole_spec(manifest)
    name = Name.of(manifest)
    hostnames = tuple(hostname.lower() for hostname in spec.texts("hostnames"))
    for hostname in hostnames:
        if not _HOSTNAME.fullmatch(hostname):
            raise FieldError(spec.place, "spec.hostnames", f"holds {hostname!r}, no host's name.")
    parents = tuple(_read_parent(parent, name) for parent in spec.each("parentRefs"))
    rules = tuple(_read_rule(rule, name) for rule in spec.each("rules"))
    spec.finish()
    if not parents or not rules:
        raise FieldError(label(manifest), "spec", "has no parentRefs or no rules: it would route nothing. Write them, or remove the route.")
    return HTTPRoute(name, hostnames, parents, rules)


def _read_parent(fields: Fields, route: Name) -> Parent:
    kind = fields.take("group", str, "gateway.networking.k8s.io"), fields.take("kind", str, "Gateway")
    if kind != ("gateway.networking.k8s.io", "Gateway"):
        fields.refuse("kind", f"is {kind[1]!r}; the plane routes at Gateways only.")
    gateway = Name(fields.take("namespace", str, route.namespace), fields.take("name", str))
    parent = Parent(gateway, fields.take("sectionName", str, ""), take_whole(fields, "port", 1, 65535))
    fields.finish()
    return parent


def _read_rule(fields: Fields, route: Name) -> RouteRule:
    fields.optional("name", str)
    matches = tuple(_read_match(match) for match in fields.each("matches")) or (Match("PathPrefix", "/", "", (), ()),)
    backends = tuple(_read_backend(backend, route) for backend in fields.each("backendRefs"))
    modifiers = [_read_filter(each) for each in fields.each("filters")]
    timeouts = fields.inside("timeouts")
    fields.finish()
    timeout, try_timeout = take_duration(timeouts, "request"), take_duration(timeouts, "backendRequest")
    timeouts.finish()
    if timeout and try_timeout and try_timeout > timeout:
        raise FieldError(timeouts.place, f"{timeouts.path}.backendRequest", "is longer than request, which holds for all tries together. Shorten it.")
    if len(modifiers) > 1:
        raise FieldError(fields.place, f"{fields.path}.filters", "has more than one RequestHeaderModifier. Merge them.")
    if sum(backend.weight for backend in backends) == 0:
        raise FieldError(fields.place, f"{fields.path}.backendRefs", "have weights that sum to 0: every request would fail. Give one of them a weight.")
    if len({(backend.service, backend.port) for backend in backends}) < len(backends):
        raise FieldError(fields.place, f"{fields.path}.backendRefs", "name the same port of a Service twice. Merge their weights.")
    written, added, removed = modifiers[0] if modifiers else ((), (), ())
    return RouteRule(matches, backends, written, added, removed, timeout or None, try_timeout or None)


def _read_match(fields: Fields) -> Match:
    path, method = fields.inside("path"), fields.take("method", str, "")
    headers, parameters = fields.each("headers"), fields.each("queryParams")
    fields.finish()
    kind, value = path.take("type", str, "PathPrefix"), path.take("value", str, "/")
    path.finish()
    if kind not in _PATHS:
        path.refuse("type", f"is {kind!r}; it may be {', '.join(_PATHS)}.")
    if kind == "RegularExpression":
        _require_expression(path, value)
    elif not value.startswith("/"):
        path.refuse("value", f"is {value!r}; a path begins with /.")
    return Match(_PATHS[kind], value, method, tuple(_read_value(each) for each in headers), tuple(_read_value(each) for each in parameters))


def _read_value(fields: Fields) -> tuple[str, str, bool]:
    name, value, kind = fields.take("name", str), fields.take("value", str), fields.take("type", str, "Exact")
    fields.finish()
    if kind not in ("Exact", "RegularExpression"):
        fields.refuse("type", f"is {kind!r}; it may be Exact or RegularExpression.")
    if kind == "RegularExpression":
        _require_expression(fields, value)
    return name, value, kind == "RegularExpression"


def _require_expression(fields: Fields, text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        fields.refuse("value", f"is {text!r}, no regular expression ({error}).")


def _read_backend(fields: Fields, route: Name) -> Backend:
    kind = fields.take("group", str, ""), fields.take("kind", str, "Service")
    service = Name(fields.take("namespace", str, route.namespace), fields.take("name", str))
    if kind != ("", "Service") or service.namespace != route.namespace:
        raise FieldError(fields.place, fields.path, f"names {kind[1]} {service}. Name a Service of the route's own namespace.")
    port, weight = take_whole(fields, "port", 1, 65535), take_whole(fields, "weight", 0, 1_000_000)
    if fields.each("filters"):
        fields.refuse("filters", "are honoured for a whole rule only. Move them up.")
    fields.finish()
    if port is None:
        raise FieldError(fields.place, f"{fields.path}.port", "is missing. Write the Service's port.")
    return Backend(service, port, 1 if weight is None else weight)


def _read_filter(fields: Fields) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], tuple[str, ...]]:
    kind = fields.take("type", str)
    if kind != "RequestHeaderModifier":
        fields.refuse("type", f"is {kind!r}; the plane honours RequestHeaderModifier.")
    modifier = fields.inside("requestHeaderModifier")
    fields.finish()
    written, added, removed = _read_headers(modifier, "set"), _read_headers(modifier, "add"), modifier.texts("remove")
    modifier.finish()
    return written, added, removed


def _read_headers(modifier: Fields, name: str) -> tuple[tuple[str, str], ...]:
    found = []
    for each in modifier.each(name):
        found.append((each.take("name", str), each.take("value", str)))
        each.finish()
    return tuple(found)
