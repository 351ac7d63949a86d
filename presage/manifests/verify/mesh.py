"""Who is in the mesh, and under which mode each port of theirs is."""

from collections.abc import Iterator
from typing import Any

from presage.manifests.verify.selectors import selects
from presage.manifests.verify.subjects import GATEWAY_LABEL, Object, Overlay, Pod, Workload

ROOT = "istio-system"
INJECT, INJECTION, REVISION = "sidecar.istio.io/inject", "istio-injection", "istio.io/rev"


def injected(overlay: Overlay, namespace: str) -> bool:
    """Whether Pods of a namespace get a proxy unless they say no."""
    found = overlay.namespaces.get(namespace)
    return found is not None and (found.labels.get(INJECTION) == "enabled" or REVISION in found.labels)


def in_mesh(overlay: Overlay, one: Workload | Pod) -> bool:
    """Whether a workload has a proxy: a gateway, or a Pod of an injected namespace that does not say no."""
    return GATEWAY_LABEL in one.labels or (one.labels.get(INJECT) != "false" and injected(overlay, one.namespace))


def mesh_namespaces(overlay: Overlay) -> list[str]:
    """Namespaces of this overlay with at least one proxy, sorted."""
    return sorted({one.namespace for one in overlay.workloads if one.namespace in overlay.namespaces and in_mesh(overlay, one)})


def istio(overlay: Overlay, kind: str) -> Iterator[Object]:
    """Objects of an Istio kind."""
    return (found for found in overlay.of_kind(kind) if found.group.endswith("istio.io"))


def selector_of(policy: Object) -> dict[str, Any]:
    """`spec.selector`, empty where it is absent."""
    found: dict[str, Any] = policy.spec.get("selector") or {}
    return found


def port_mode(overlay: Overlay, pod: Pod, port: int) -> str:
    """The mode under which a port of a Pod takes connections; PERMISSIVE is Istio's default."""
    mode = "PERMISSIVE"
    for policy in sorted(istio(overlay, "PeerAuthentication"), key=lambda one: (one.namespace != ROOT, bool(selector_of(one)))):
        if policy.namespace not in (ROOT, pod.namespace) or not selects(selector_of(policy), pod.labels):
            continue
        mode = (policy.spec.get("mtls") or {}).get("mode") or mode
        if selector_of(policy):
            own = (policy.spec.get("portLevelMtls") or {}).get(str(port)) or (policy.spec.get("portLevelMtls") or {}).get(port)
            mode = (own or {}).get("mode") or mode
    return mode
