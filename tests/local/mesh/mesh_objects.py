"""Builders of the mesh's Kubernetes objects, small and complete."""

from typing import Any

GATEWAY_GROUP = "gateway.networking.k8s.io/v1"
HOST = "incident-models-network.presage.local"
PREDICTOR, INCIDENT = "incident-predictor", {"app": "isvc.incident-predictor"}


def thing(api: str, kind: str, name: str, namespace: str = "models-network", annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def service(name: str = PREDICTOR, selector: dict[str, str] | None = None, port: dict[str, Any] | None = None) -> dict[str, Any]:
    wanted = {"name": "http", "port": 80, "targetPort": 8080} | (port or {})
    return thing("v1", "Service", name, selector=selector or {"app": f"isvc.{name}"}, ports=[wanted])


def gateway(**listener: Any) -> dict[str, Any]:
    tls = {
        "mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": "gateway-tls"}], "options": {"gateway.istio.io/tls-terminate-mode": "MUTUAL"},
    }
    wanted = {
        "name": "https", "port": 8443, "protocol": "HTTPS", "hostname": "*.presage.local", "tls": tls,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    } | listener
    return thing(GATEWAY_GROUP, "Gateway", "presage", "gateway", gatewayClassName="istio", listeners=[wanted])


def backend(name: str, weight: int = 100) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight}


def route(*backends: dict[str, Any], rules: list[dict[str, Any]] | None = None, hosts: tuple[str, ...] = (HOST,), **rule: Any) -> dict[str, Any]:
    """One rule for every path to the backends, or the rules given."""
    default = {"matches": [{"path": {"type": "RegularExpression", "value": "^/.*$"}}], "backendRefs": list(backends or [backend(PREDICTOR)])} | rule
    parents = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "gateway", "name": "presage"}]
    return thing(GATEWAY_GROUP, "HTTPRoute", "incident", hostnames=list(hosts), parentRefs=parents, rules=rules or [default])


def peers(mode: str = "STRICT", name: str = "default", namespace: str = "models-network", **spec: Any) -> dict[str, Any]:
    return thing("security.istio.io/v1", "PeerAuthentication", name, namespace, mtls={"mode": mode}, **spec)


def policy(name: str, namespace: str = "models-network", **spec: Any) -> dict[str, Any]:
    return thing("security.istio.io/v1", "AuthorizationPolicy", name, namespace, **spec)


def tokens(keys: str, namespace: str = "gateway", **rule: Any) -> dict[str, Any]:
    wanted = {"issuer": "https://issuer.presage.local", "audiences": ["incident"], "jwks": keys, "forwardOriginalToken": True} | rule
    target = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "presage"}]
    return thing("security.istio.io/v1", "RequestAuthentication", "clients", namespace, targetRefs=target, jwtRules=[wanted])


def destination(host: str = PREDICTOR, namespace: str = "models-network", **policy: Any) -> dict[str, Any]:
    return thing("networking.istio.io/v1", "DestinationRule", host.replace("*", "all").replace(".", "-"), namespace, host=host, trafficPolicy=policy)


def limit(tokens: int, seconds: int = 60) -> dict[str, Any]:
    whole = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    settings = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "gateway_limit",
        "token_bucket": {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": f"{seconds}s"}, "filter_enabled": whole, "filter_enforced": whole,
    }
    chain = {"filter": {"name": "envoy.filters.network.http_connection_manager", "subFilter": {"name": "envoy.filters.http.router"}}}
    patch = {
        "applyTo": "HTTP_FILTER", "match": {"context": "GATEWAY", "listener": {"filterChain": chain}},
        "patch": {"operation": "INSERT_BEFORE", "value": {"name": "envoy.filters.http.local_ratelimit", "typed_config": settings}},
    }
    target = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "presage"}]
    return thing("networking.istio.io/v1alpha3", "EnvoyFilter", "gateway-limit", "gateway", targetRefs=target, configPatches=[patch])
