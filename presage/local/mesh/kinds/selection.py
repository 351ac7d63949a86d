"""Which workloads a policy is for: those a selector finds, a Gateway by name, or all of its namespace (of the mesh, from the root namespace)."""

from collections.abc import Mapping
from dataclasses import dataclass

from presage.local.mesh.kinds.names import ROOT_NAMESPACE, Name, selects, take_map
from presage.local.mesh.pods import GATEWAY_NAME
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest


@dataclass(frozen=True)
class Selection:
    """selector empty and gateways empty: every workload of the namespace."""

    namespace: str
    selector: Mapping[str, str]
    gateways: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        return not self.selector and not self.gateways

    def finds(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether the workload with these labels in `namespace` is meant."""
        if self.gateways:
            return namespace == self.namespace and labels.get(GATEWAY_NAME) in self.gateways
        return self.namespace in (namespace, ROOT_NAMESPACE) and selects(self.selector, labels)


def read_selection(spec: Fields, manifest: Manifest) -> Selection:
    """`selector`, `targetRef` and `targetRefs` of a policy. Raises FieldError."""
    namespace = Name.of(manifest).namespace
    selector = read_selector(spec)
    targets = spec.each("targetRefs")
    if "targetRef" in spec:
        targets.append(spec.inside("targetRef"))
    gateways = tuple(read_target(target, namespace) for target in targets)
    if selector and gateways:
        raise FieldError(spec.place, f"{spec.path}.selector", "stands beside targetRefs; Istio takes one of them. Remove the other.")
    return Selection(namespace, selector, gateways)


def read_selector(spec: Fields) -> dict[str, str]:
    """`selector.matchLabels`; an absent one reads as empty. A selector without labels is refused: it would silently mean everything."""
    if "selector" not in spec:
        return {}
    selector = spec.inside("selector")
    labels = take_map(selector, "matchLabels")
    selector.finish()
    if not labels:
        raise FieldError(spec.place, f"{spec.path}.selector", "has no matchLabels. Write them, or leave the selector out to mean the whole namespace.")
    return labels


def read_target(fields: Fields, namespace: str) -> str:
    group, kind, name = fields.take("group", str, ""), fields.take("kind", str), fields.take("name", str)
    where = fields.take("namespace", str, namespace)
    fields.finish()
    if (group, kind) != ("gateway.networking.k8s.io", "Gateway"):
        raise FieldError(fields.place, fields.path, f"names {kind} {name}; the plane has no waypoints. Name a Gateway, or use a selector.")
    if where != namespace:
        raise FieldError(fields.place, fields.path, f"names a Gateway of namespace {where}; a policy is for its own namespace. Move the policy there.")
    return name
