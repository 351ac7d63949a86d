"""PeerAuthentication: whether a workload's ports want mutual TLS."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from presage.local.mesh.kinds.names import ROOT_NAMESPACE, Name, whole_spec
from presage.local.mesh.kinds.selection import Selection, read_selector
from presage.local.mesh.pods import MeshPod
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest

Mode = Literal["STRICT", "PERMISSIVE", "DISABLE"]
_MODES: Mapping[str, Mode | None] = {"STRICT": "STRICT", "PERMISSIVE": "PERMISSIVE", "DISABLE": "DISABLE", "UNSET": None}


@dataclass(frozen=True)
class PeerAuthentication:
    """mode None: what the namespace says, then the mesh, then PERMISSIVE. ports: what single ports say."""

    name: Name
    selection: Selection
    mode: Mode | None
    ports: Mapping[int, Mode | None]


def read_peer_authentication(manifest: Manifest) -> PeerAuthentication:
    """Raises FieldError."""
    spec = whole_spec(manifest)
    name = Name.of(manifest)
    selector = read_selector(spec)
    mode = _read_mode(spec.inside("mtls"))
    ports = {}
    for key, level in spec.take("portLevelMtls", dict, {}).items():
        port = Fields(spec.place, f"spec.portLevelMtls[{key}]", level if isinstance(level, dict) else {})
        if not (str(key).isdigit() and 0 < int(key) < 65536 and isinstance(level, dict)):
            raise FieldError(port.place, port.path, f"is {level!r}. Write a port's number, and below it a mode.")
        ports[int(key)] = _read_mode(port)
    spec.finish()
    if ports and not selector:
        raise FieldError(spec.place, "spec.portLevelMtls", "needs a selector; without one Istio passes over it. Select the workload that has the port.")
    return PeerAuthentication(name, Selection(name.namespace, selector), mode, ports)


def mode_of(policies: Iterable[PeerAuthentication], pod: MeshPod, port: int) -> Mode:
    """What holds at one port of a Pod: its workload's word, else its namespace's, else the mesh's, else PERMISSIVE."""
    said: dict[int, Mode | None] = {}
    for policy in policies:
        if not policy.selection.finds(pod.namespace, pod.labels):
            continue
        if not policy.selection.everything:
            said[0] = policy.ports.get(port) or policy.mode
        else:
            said[2 if policy.name.namespace == ROOT_NAMESPACE else 1] = policy.mode
    return next((mode for level in sorted(said) if (mode := said[level]) is not None), "PERMISSIVE")


def require_one_word(policies: Iterable[PeerAuthentication], pods: Iterable[MeshPod]) -> None:
    """Raise FieldError where two policies speak for the same workload, or the same namespace: which holds would depend on their age."""
    whole: dict[str, Name] = {}
    for policy in policies:
        if policy.selection.everything:
            if policy.name.namespace in whole:
                other = whole[policy.name.namespace]
                raise FieldError(f"PeerAuthentication {policy.name}", "spec", f"speaks for the whole namespace, as {other} does. Keep one.")
            whole[policy.name.namespace] = policy.name
    for pod in pods:
        found = [policy.name for policy in policies if not policy.selection.everything and policy.selection.finds(pod.namespace, pod.labels)]
        if len(found) > 1:
            raise FieldError(f"PeerAuthentication {found[1]}", "spec.selector", f"selects Pod {pod.name}, as {found[0]} does. Keep one for each workload.")


def _read_mode(fields: Fields) -> Mode | None:
    text = fields.take("mode", str, "UNSET")
    if text not in _MODES:
        fields.refuse("mode", f"is {text!r}; it may be {', '.join(_MODES)}.")
    fields.finish()
    return _MODES[text]
