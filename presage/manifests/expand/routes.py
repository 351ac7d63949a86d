"""The HTTPRoutes of an InferenceService: its entry and its predictor's, both public, with a canary's share in each rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from presage.manifests.expand.refusals import NotExpanded
from presage.manifests.expand.settings import CLUSTER_LOCAL, NAME, NAMESPACE, Settings
from presage.manifests.objects import Manifest

VISIBILITY = "networking.kserve.io/visibility"
_GRPC_MATCH = {
    "path": {"type": "RegularExpression", "value": r"^/inference\.GRPCInferenceService/.*$"},
    "headers": [{"type": "RegularExpression", "name": "content-type", "value": "^application/grpc.*"}],
}  # fmt: skip
_ANY_MATCH = {"path": {"type": "RegularExpression", "value": "^/.*$"}}


@dataclass(frozen=True)
class Routed:
    """An InferenceService as its routes see it. annotations: those that KServe passes on; timeout: the stable predictor's, in seconds."""

    metadata: Mapping[str, Any]
    annotations: Mapping[str, str]
    timeout: int | None
    settings: Settings

    @property
    def local(self) -> bool:
        """Whether KServe writes no route at all."""
        visible = (self.metadata.get("labels") or {}).get(VISIBILITY)
        return visible == "cluster-local" or self.settings.domain == CLUSTER_LOCAL or not self.settings.routes


def routes_of(routed: Routed, stable: Manifest, shares: Sequence[tuple[str, int]]) -> list[Manifest]:
    """Predictor route, then entry route; none for a service without. stable: the stable predictor's Service; shares: (Service, percent) of each canary.

    Raises FieldError.
    """
    settings, metadata, name = routed.settings, routed.metadata, routed.metadata["name"]
    if routed.local:
        return []
    if settings.gateway is None:
        why = "is not true: KServe would write an Ingress, without weights and without a warning. Set it."
        raise NotExpanded(f"ConfigMap {NAMESPACE}/{NAME}", "data.ingress.enableGatewayApi", why)
    route_name = f"{name}-predictor"  # without predictor.name, so that a promotion by name keeps it
    rules = _rules(routed, stable, shares)
    entry = settings.host(name, metadata)
    hosts = [entry, *(entry.removesuffix(settings.domain) + domain for domain in settings.further_domains if entry.endswith(settings.domain))]
    both = ((route_name, [settings.host(route_name, metadata)]), (name, list(dict.fromkeys(hosts))))
    return [_route(route, routed, hostnames, rules, settings.gateway) for route, hostnames in both]


def _route(name: str, routed: Routed, hostnames: list[str], rules: list[dict[str, Any]], gateway: tuple[str, str]) -> Manifest:
    namespace, labels = routed.metadata.get("namespace"), routed.metadata.get("labels")
    described = {
        "name": name, **({"namespace": namespace} if namespace else {}), **({"labels": dict(labels)} if labels else {}),
        "annotations": dict(routed.annotations),
    }  # fmt: skip
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": gateway[0], "name": gateway[1]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": described,
        "spec": {"parentRefs": [parent], "hostnames": hostnames, "rules": [dict(rule) for rule in rules]},
    }  # fmt: skip


def _rules(routed: Routed, stable: Manifest, shares: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    metadata, (grpc, rest) = routed.metadata, _protocol_ports(stable)
    seconds = f"{60 if routed.timeout is None else routed.timeout}s" if routed.settings.timeouts else None
    ports = [(_GRPC_MATCH, grpc), (_ANY_MATCH, rest)] if grpc and rest else [(_ANY_MATCH, 80)]
    namespace = metadata.get("namespace", "default")
    headers = [{"name": "KServe-Isvc-Name", "value": metadata["name"]}, {"name": "KServe-Isvc-Namespace", "value": namespace}]
    rules = []
    for match, port in ports:
        backends: list[dict[str, Any]] = [{"kind": "Service", "name": stable["metadata"]["name"], "namespace": namespace, "port": port}]
        if shares:
            backends[0]["weight"] = 100 - sum(percent for _, percent in shares)
            backends += [{"kind": "Service", "name": name, "namespace": namespace, "port": port, "weight": percent} for name, percent in shares]
        rules.append({
            "matches": [match], "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": headers}}], "backendRefs": backends,
            **({"timeouts": {"request": seconds}} if seconds else {}),
        })  # fmt: skip
    return rules


def _protocol_ports(service: Manifest) -> tuple[int, int]:
    """The Service's first gRPC port and its first other one, as KServe tells them apart; 0 for none."""
    grpc = rest = 0
    for port in service["spec"]["ports"]:
        name = port.get("name", "").lower()
        if port.get("appProtocol") == "kubernetes.io/h2c" or "grpc" in name or "h2c" in name:
            grpc = grpc or port["port"]
        else:
            rest = rest or port["port"]
    return grpc, rest
