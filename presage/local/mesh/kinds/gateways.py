"""Gateways: where the mesh is entered from outside. HTTPS only; a listener may ask each client for a certificate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from presage.local.mesh.kinds.names import Name, Note, selects, take_map, whole_spec
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

TLS_MODE = "gateway.istio.io/tls-terminate-mode"  # option of a listener's tls: SIMPLE, or MUTUAL to ask for a client certificate


@dataclass(frozen=True)
class Listener:
    """hostname: one name, or `*.` and a domain, or empty for any. secret: holds its certificate. routes, labels: from which namespaces
    HTTPRoutes may attach (labels: of the namespace, for `Selector`)."""

    name: str
    port: int
    hostname: str
    secret: Name
    mutual: bool
    routes: Literal["Same", "All", "Selector"]
    labels: Mapping[str, str]

    def admits(self, gateway: Name, namespace: str, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether an HTTPRoute of `namespace` may attach. namespaces: the labels of each."""
        if self.routes == "Selector":
            return selects(self.labels, namespaces.get(namespace, {}))
        return self.routes == "All" or namespace == gateway.namespace


@dataclass(frozen=True)
class Gateway:
    """labels: those that its Pod gets besides Istio's own."""

    name: Name
    listeners: tuple[Listener, ...]
    labels: Mapping[str, str]


def read_gateway(manifest: Manifest, note: Note) -> Gateway:
    """Raises FieldError."""
    spec = whole_spec(manifest)
    name = Name.of(manifest)
    if spec.take("gatewayClassName", str) != "istio":
        spec.refuse("gatewayClassName", "is not istio, whose gateway the plane stands in for. Write istio.")
    infrastructure = spec.inside("infrastructure")
    labels = take_map(infrastructure, "labels")
    if take_map(infrastructure, "annotations"):
        note("Gateway infrastructure.annotations: the gateway is a process here, without a Service", label(manifest))
    infrastructure.finish()
    if "tls" in spec:
        spec.refuse("tls", f"is not honoured on the plane. Ask for client certificates by a listener's tls.options[{TLS_MODE}]: MUTUAL.")
    listeners = tuple(_read_listener(listener, name) for listener in spec.each("listeners"))
    spec.finish()
    if not listeners:
        raise FieldError(label(manifest), "spec.listeners", "is empty: nobody could enter. Add one.")
    seen: dict[tuple[int, str], str] = {}
    for listener in listeners:
        if other := seen.get((listener.port, listener.hostname)):
            raise FieldError(label(manifest), f"listener {listener.name}", f"has port and hostname of {other}. Change one of them.")
        seen[listener.port, listener.hostname] = listener.name
    return Gateway(name, listeners, labels)


def _read_listener(fields: Fields, gateway: Name) -> Listener:
    name, port, hostname = fields.take("name", str), fields.take("port", int), fields.take("hostname", str, "")
    if fields.take("protocol", str) != "HTTPS":
        fields.refuse("protocol", "is not HTTPS: nothing enters the mesh in plain text. Write HTTPS, with a certificate.")
    tls = fields.inside("tls")
    allowed = fields.inside("allowedRoutes")
    fields.finish()
    if tls.take("mode", str, "Terminate") != "Terminate":
        tls.refuse("mode", "is not Terminate: who passes connections on can check neither client nor path. Write Terminate.")
    certificates = [_read_reference(reference, gateway) for reference in tls.each("certificateRefs")]
    if len(certificates) != 1:
        raise FieldError(tls.place, f"{tls.path}.certificateRefs", f"names {len(certificates)} Secrets. Name one.")
    options = take_map(tls, "options")
    tls.finish()
    mode = options.pop(TLS_MODE, "SIMPLE")
    if mode not in ("SIMPLE", "MUTUAL") or options:
        raise FieldError(tls.place, f"{tls.path}.options", f"has {', '.join(options) or mode}. The plane knows {TLS_MODE}: SIMPLE or MUTUAL.")
    routes, labels = _read_allowed(allowed)
    return Listener(name, port, hostname.lower(), certificates[0], mode == "MUTUAL", routes, labels)


def _read_reference(fields: Fields, gateway: Name) -> Name:
    group, kind, name = fields.take("group", str, ""), fields.take("kind", str, "Secret"), fields.take("name", str)
    namespace = fields.take("namespace", str, gateway.namespace)
    fields.finish()
    if (group, kind, namespace) != ("", "Secret", gateway.namespace):
        raise FieldError(fields.place, fields.path, f"names {kind} {namespace}/{name}. Name a Secret of the Gateway's own namespace.")
    return Name(namespace, name)


def _read_allowed(fields: Fields) -> tuple[Literal["Same", "All", "Selector"], Mapping[str, str]]:
    namespaces = fields.inside("namespaces")
    for kind in fields.each("kinds"):
        kind.optional("group", str)
        if kind.take("kind", str) != "HTTPRoute":
            kind.refuse("kind", "is not HTTPRoute, all that the plane routes by.")
        kind.finish()
    fields.finish()
    origin = namespaces.take("from", str, "Same")
    selector = namespaces.inside("selector")
    labels = take_map(selector, "matchLabels")
    selector.finish()
    namespaces.finish()
    if origin == "Selector" and labels:
        return "Selector", labels
    if origin not in ("Same", "All"):
        raise FieldError(namespaces.place, f"{namespaces.path}.from", f"is {origin!r}. Write Same, All, or Selector with matchLabels.")
    return ("All" if origin == "All" else "Same"), {}
