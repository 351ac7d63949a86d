"""DestinationRules: how a Service is called: how many connections and requests at once, and when a Pod of it is left out for a while."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from presage.local.mesh.kinds.names import ROOT_NAMESPACE, Name, Note, take_choice, take_duration, take_whole, whole_spec
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

_BALANCERS = {
    "UNSPECIFIED": "", "LEAST_REQUEST": "", "LEAST_CONN": "", "ROUND_ROBIN": "", "RANDOM": "",
    "PASSTHROUGH": "and the plane has no original destination to pass a call to. Write LEAST_REQUEST.",
}
_UPGRADES = {"DEFAULT": "", "DO_NOT_UPGRADE": "", "UPGRADE": ""}


@dataclass(frozen=True)
class ConnectionPool:
    """Upper limits; None is no limit. Times in seconds. http2: whether the Service is spoken to in HTTP/2 whatever its port is called."""

    connections: int | None = None
    connect_timeout: float | None = None
    connection_duration: float | None = None
    pending_requests: int | None = None
    requests: int | None = None
    requests_per_connection: int | None = None
    retries: int | None = None
    idle_timeout: float | None = None
    http2: bool = False


@dataclass(frozen=True)
class OutlierDetection:
    """None: Envoy's own default. least_healthy: percent of Pods below which all are called again, ejected or not; 0: never."""

    errors_5xx: int | None = None
    errors_gateway: int | None = None
    interval: float | None = None
    base_ejection_time: float | None = None
    most_ejected: int | None = None
    least_healthy: int = 0


@dataclass(frozen=True)
class DestinationRule:
    """host: a fully qualified name, or one with a leading `*.`. exported: whether callers of other namespaces heed it, too."""

    name: Name
    host: str
    exported: bool
    pool: ConnectionPool = field(default_factory=ConnectionPool)
    outliers: OutlierDetection | None = None
    balancer: str = "LEAST_REQUEST"
    mutual: bool = False


def read_destination_rule(manifest: Manifest, note: Note) -> DestinationRule:
    """Raises FieldError."""
    spec = whole_spec(manifest)
    name = Name.of(manifest)
    host = _full_host(spec, name.namespace)
    exported = _read_export(spec, name.namespace)
    policy = spec.inside("trafficPolicy")
    for unhonoured in ("subsets", "workloadSelector"):
        if unhonoured in spec:
            spec.refuse(unhonoured, "is not honoured on the plane. Give each set of Pods a Service and a DestinationRule of its own.")
    spec.finish()
    pool = _read_pool(policy.inside("connectionPool"), note, manifest)
    outliers = _read_outliers(policy.inside("outlierDetection")) if "outlierDetection" in policy else None
    balancer = policy.inside("loadBalancer")
    simple = take_choice(balancer, "simple", _BALANCERS, "LEAST_REQUEST")
    balancer.finish()
    tls = policy.inside("tls")
    mutual = "mode" in tls
    if mutual:
        take_choice(tls, "mode", ("ISTIO_MUTUAL",), "ISTIO_MUTUAL")
    tls.finish()
    policy.finish()
    return DestinationRule(name, host, exported, pool, outliers, simple if simple in ("ROUND_ROBIN", "RANDOM") else "LEAST_REQUEST", mutual)


def rule_for(rules: Iterable[DestinationRule], host: str, caller: str) -> DestinationRule | None:
    """The rule that a caller in namespace `caller` heeds for a Service: one of its own namespace, else of the Service's, else of the root's.

    Among those the one with the closest host.
    """
    owner = host.split(".")[1]
    for namespace in (caller, owner, ROOT_NAMESPACE):
        fitting = [
            rule for rule in rules
            if rule.name.namespace == namespace and (namespace == caller or rule.exported) and (rule.host == host or _covers(rule.host, host))
        ]
        if fitting:
            return max(fitting, key=lambda rule: (rule.host == host, len(rule.host)))
    return None


def require_one_rule(rules: Iterable[DestinationRule]) -> None:
    """Raise FieldError where one namespace has two rules for a host: which one holds would depend on their age."""
    seen: dict[tuple[str, str], Name] = {}
    for rule in rules:
        key = (rule.name.namespace, rule.host)
        if key in seen:
            raise FieldError(f"DestinationRule {rule.name}", "spec.host", f"is {rule.host}, as that of {seen[key]} is. Keep one.")
        seen[key] = rule.name


def _covers(pattern: str, host: str) -> bool:
    return pattern == "*" or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _full_host(spec: Fields, namespace: str) -> str:
    host = spec.take("host", str)
    if host.startswith("*") and host != "*" and not host.startswith("*."):
        spec.refuse("host", f"is {host!r}; a * stands for whole parts of a name. Write it like *.{namespace}.svc.cluster.local.")
    parts = host.count(".")
    if "*" in host or parts >= 3:
        return host
    return f"{host}.{namespace}.svc.cluster.local" if parts == 0 else f"{host}.svc.cluster.local" if parts == 1 else f"{host}.cluster.local"


def _read_export(spec: Fields, namespace: str) -> bool:
    where = spec.texts("exportTo") or ("*",)
    if set(where) <= {".", namespace}:
        return False
    if set(where) != {"*"}:
        raise FieldError(spec.place, "spec.exportTo", f"is {', '.join(where)}; the plane knows * and the rule's own namespace (.).")
    return True


def _read_pool(fields: Fields, note: Note, manifest: Manifest) -> ConnectionPool:
    tcp, http = fields.inside("tcp"), fields.inside("http")
    fields.finish()
    idle = take_duration(tcp, "idleTimeout")
    if tcp.optional("tcpKeepalive", dict) is not None:
        note("DestinationRule tcpKeepalive: connections on one machine do not go stale", label(manifest))
    pool = ConnectionPool(
        connections=take_whole(tcp, "maxConnections", 1), connect_timeout=take_duration(tcp, "connectTimeout"),
        connection_duration=take_duration(tcp, "maxConnectionDuration"),
        pending_requests=take_whole(http, "http1MaxPendingRequests", 1), requests=take_whole(http, "http2MaxRequests", 1),
        requests_per_connection=take_whole(http, "maxRequestsPerConnection") or None, retries=take_whole(http, "maxRetries", 1),
        idle_timeout=take_duration(http, "idleTimeout") or idle, http2=take_choice(http, "h2UpgradePolicy", _UPGRADES, "DEFAULT") == "UPGRADE",
    )
    tcp.finish()
    http.finish()
    return pool


def _read_outliers(fields: Fields) -> OutlierDetection:
    found = OutlierDetection(
        errors_5xx=take_whole(fields, "consecutive5xxErrors"), errors_gateway=take_whole(fields, "consecutiveGatewayErrors"),
        interval=take_duration(fields, "interval"), base_ejection_time=take_duration(fields, "baseEjectionTime"),
        most_ejected=take_whole(fields, "maxEjectionPercent", 0, 100), least_healthy=take_whole(fields, "minHealthPercent", 0, 100) or 0,
    )
    fields.finish()
    return found
