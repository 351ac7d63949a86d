"""Istio's Sidecar: which Services the Pods of a namespace may call through their Envoy."""

from collections.abc import Iterable
from dataclasses import dataclass

from presage.local.mesh.kinds.names import ROOT_NAMESPACE, Name, Note, take_choice, take_map, whole_spec
from presage.local.mesh.kinds.selection import Selection
from presage.local.mesh.pods import MeshPod
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

_MODES = ("REGISTRY_ONLY", "ALLOW_ANY")


@dataclass(frozen=True)
class Egress:
    """hosts: (namespace or *, host or *) of what may be called."""

    name: Name
    selection: Selection
    hosts: tuple[tuple[str, str], ...]

    def admits(self, service: Name, host: str) -> bool:
        return any(namespace in ("*", service.namespace) and _covers(pattern, host) for namespace, pattern in self.hosts)


def read_sidecar(manifest: Manifest, note: Note) -> Egress:
    """Raises FieldError."""
    spec = whole_spec(manifest)
    name = Name.of(manifest)
    workload = spec.inside("workloadSelector")
    labels = take_map(workload, "labels")
    workload.finish()
    policy = spec.inside("outboundTrafficPolicy")
    take_choice(policy, "mode", _MODES, "ALLOW_ANY")
    policy.finish()
    hosts = tuple(found for listener in spec.each("egress") for found in _read_hosts(listener, name.namespace))
    spec.finish()
    note("Sidecar: a program that knows an address can call it past its Envoy; only names are limited", label(manifest))
    return Egress(name, Selection(name.namespace, labels), hosts or (("*", "*"),))


def may_call(rules: Iterable[Egress], pod: MeshPod, service: Name, host: str) -> bool:
    """Whether the Envoy of a Pod takes calls to a Service: what is said for the Pod holds, else for its namespace, else for the mesh, else yes."""
    found = [rule for rule in rules if rule.selection.finds(pod.namespace, pod.labels)]
    found.sort(key=lambda rule: (rule.selection.everything, rule.name.namespace == ROOT_NAMESPACE != pod.namespace))
    return not found or found[0].admits(service, host)


def _read_hosts(fields: Fields, own: str) -> list[tuple[str, str]]:
    found = []
    for text in fields.texts("hosts"):
        namespace, slash, host = text.partition("/")
        if not slash or not host or namespace == "~":
            raise FieldError(fields.place, f"{fields.path}.hosts", f"holds {text!r}. Write NAMESPACE/HOST, where either may be *, and . is the own namespace.")
        found.append((own if namespace == "." else namespace, host))
    fields.finish()
    return found


def _covers(pattern: str, host: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
