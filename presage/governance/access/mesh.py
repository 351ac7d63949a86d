"""The mesh's allows: at the gateway by certificate, token, host and path; at the predictors by who calls, and path again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from presage.governance.access.compiled import COMMON, Compiled, manifest, predictor
from presage.governance.access.document import GATEWAY, GATEWAY_IDENTITY, GRPC_PATHS, METRICS, AccessPolicy, Client, principal
from presage.manifests.objects import Manifest

_API = "security.istio.io/v1"
_GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "presage"}
SERVING_PORT, GRPC_PORT, METRICS_PORT = 8080, 8081, 9090


@dataclass(frozen=True)
class Caller:
    """Who reaches a predictor, and on behalf of which clients."""

    name: str
    principal: str
    clients: Sequence[Client]


def mesh_allows(policy: AccessPolicy) -> Iterator[Compiled]:
    """AuthorizationPolicies of every domain, and the gateway's one limit."""
    for domain, namespace in policy.domains.items():
        for client in policy.clients_of(domain, "outside"):
            yield _at_the_gateway(policy, client, domain, namespace)
        yield from _from_the_gateway(policy, domain, namespace)
        for client in policy.clients_of(domain, "mesh"):
            yield _from_the_mesh(policy, client, domain, namespace)
        yield from _metrics(policy, domain, namespace)
    yield _gateway_limit(policy)


def _at_the_gateway(policy: AccessPolicy, client: Client, domain: str, namespace: str) -> Compiled:
    assert client.token is not None
    # The listener's hostname names the public domain; the service's other host (…-predictor-…) does not begin like this.
    hosts = [f"{client.of}-{namespace}.*"]
    rule = {
        "from": [{"source": {"principals": [client.principal]}}],
        "to": [{"operation": {"hosts": hosts, **operation}} for operation in _operations(policy, client)],
        "when": [
            {"key": "request.auth.claims[sub]", "values": [client.token.subject]},
            {"key": "request.auth.audiences", "values": [client.token.audience]},
        ],
    }
    spec = {"targetRefs": [_GATEWAY], "action": "ALLOW", "rules": [rule]}
    found = manifest(_API, "AuthorizationPolicy", f"{client.name}-{domain}", GATEWAY, spec=spec)
    return Compiled(domain, (client.id,), f"{client.title}, in the domain {domain}. {client.rationale}", found)


def _from_the_gateway(policy: AccessPolicy, domain: str, namespace: str) -> Iterator[Compiled]:
    outside = policy.clients_of(domain, "outside")
    for service in sorted({client.of for client in outside if client.of}):
        clients = [client for client in outside if client.of == service]
        because = "The gateway passes on what some client outside may call; it has checked which. Other paths end here even if it did not."
        yield Compiled(domain, _ids(clients), because, _into(policy, service, namespace, Caller("gateway", principal(GATEWAY_IDENTITY), clients)))


def _from_the_mesh(policy: AccessPolicy, client: Client, domain: str, namespace: str) -> Compiled:
    caller = Caller(client.name, client.principal, [client])
    return Compiled(domain, (client.id,), f"{client.title}. {client.rationale}", _into(policy, client.of or "", namespace, caller))


def _into(policy: AccessPolicy, service: str, namespace: str, caller: Caller) -> Manifest:
    rule = {
        "from": [{"source": {"principals": [caller.principal]}}],
        "to": [{"operation": operation} for operation in _by_port(_operations(policy, *caller.clients))],
    }
    spec = {"selector": {"matchLabels": predictor(service)}, "action": "ALLOW", "rules": [rule]}
    return manifest(_API, "AuthorizationPolicy", f"{service}-from-{caller.name}", namespace, spec=spec)


def _by_port(operations: list[dict[str, list[str]]]) -> Iterator[dict[str, list[str]]]:
    """Calls of HTTP at its port, those of gRPC at theirs: a path that is asked for at the other port is none of ours."""
    for operation in operations:
        for port, grpc in ((SERVING_PORT, False), (GRPC_PORT, True)):
            if paths := [path for path in operation["paths"] if path.startswith(GRPC_PATHS) is grpc]:
                yield {"methods": operation["methods"], "paths": paths, "ports": [str(port)]}


def _ids(clients: Sequence[Client]) -> tuple[str, ...]:
    return tuple(client.id for client in clients)


def _metrics(policy: AccessPolicy, domain: str, namespace: str) -> Iterator[Compiled]:
    readers = policy.clients_of(domain, "monitoring")
    if not readers:
        return
    operations = [{**operation, "ports": [str(METRICS_PORT)]} for operation in _operations(policy, *readers)]
    spec = {"action": "ALLOW", "rules": [{"to": [{"operation": operation} for operation in operations]}]}
    because = f"{readers[0].rationale} Who reaches the port is the NetworkPolicy's matter."
    yield Compiled(domain, _ids(readers), because, manifest(_API, "AuthorizationPolicy", METRICS, namespace, spec=spec))


def _operations(policy: AccessPolicy, *clients: Client) -> list[dict[str, list[str]]]:
    return [{"methods": [method], "paths": list(paths)} for method, paths in policy.operations(*clients)]


def _gateway_limit(policy: AccessPolicy) -> Compiled:
    tokens = policy.gateway.at_most.requests_per_second
    whole = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    settings: dict[str, Any] = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "gateway_limit",
        "token_bucket": {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "1s"},
        "filter_enabled": whole, "filter_enforced": whole,
    }  # fmt: skip
    manager = {"name": "envoy.filters.network.http_connection_manager", "subFilter": {"name": "envoy.filters.http.router"}}
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": manager}}},
        "patch": {"operation": "INSERT_BEFORE", "value": {"name": "envoy.filters.http.local_ratelimit", "typed_config": settings}},
    }
    spec = {"targetRefs": [_GATEWAY], "configPatches": [patch]}
    found = manifest("networking.istio.io/v1alpha3", "EnvoyFilter", "gateway-limit", GATEWAY, spec=spec)
    return Compiled(COMMON, ("gateway",), policy.gateway.rationale, found)
