"""Core objects read into the Pods that the plane runs.

    reading = read_pods(objects)      # .pods, .not_honoured

A field the plane does not know is refused (FieldError); one it knows and cannot enforce on plain processes goes into
`not_honoured`, which `presage up` and `presage status` show. Nothing is passed over in silence.
"""

from dataclasses import dataclass, field
from typing import Any

from presage.errors import PlaneError
from presage.local.pods import Container, Pod, Variable, Volume
from presage.local.probe import read_probe
from presage.local.quantities import parse_bytes
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label


@dataclass
class Reading:
    """What reading gathers: Pods, and what cannot be enforced here (text → which containers or objects say it)."""

    pods: list[Pod] = field(default_factory=list)
    not_honoured: dict[str, list[str]] = field(default_factory=dict)

    def note(self, text: str, who: str) -> None:
        self.not_honoured.setdefault(text, []).append(who)


_SAME = {"ConfigMap", "PersistentVolumeClaim"}  # looked up by the Pods that use them (presage.local.volumes)


def read_pods(objects: list[Manifest]) -> Reading:
    """The Pods of all Deployments and Pods among `objects`. Raises PlaneError for a kind that the plane does not run."""
    reading = Reading()
    for manifest in objects:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if kind == "Deployment":
            _read_deployment(manifest, reading)
        elif kind == "Pod":
            template = {"metadata": manifest["metadata"], "spec": manifest.get("spec", {})}
            reading.pods.append(_read_pod(label(manifest), template, (name, name, manifest["metadata"].get("namespace", "default")), reading))
        elif kind == "Namespace":
            reading.note("Pod security of the namespace: programs run as you do, with your rights", name)
        elif kind == "Service":
            reading.note("Services: there is no cluster DNS, a Pod is called at its own address and port", name)
        elif kind not in _SAME:
            raise PlaneError(f"{label(manifest)}: the plane does not run this kind. Leave it out of the overlay, or run it in a cluster.")
    return reading


def _read_deployment(manifest: Manifest, reading: Reading) -> None:
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    whole.optional("status", dict)
    whole.finish()
    replicas = spec.take("replicas", int, 1)
    for governed in ("selector", "strategy", "revisionHistoryLimit", "progressDeadlineSeconds", "minReadySeconds"):
        spec.optional(governed, object)  # how a controller replaces Pods: here they are stopped, then started
    template = spec.take("template", dict)
    spec.finish()
    name, namespace = manifest["metadata"]["name"], manifest["metadata"].get("namespace", "default")
    for ordinal in range(replicas):
        reading.pods.append(_read_pod(label(manifest), template, (f"{name}-{ordinal}", name, namespace), reading))


# Fields of a Pod that ask nothing of a single machine, and those that cannot be kept on it.
_WITHOUT_EFFECT = (
    "dnsPolicy", "schedulerName", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "priorityClassName", "preemptionPolicy",
    "enableServiceLinks", "imagePullSecrets",
)
_POD_NOTES = {
    "serviceAccountName": "serviceAccountName: there are no workload identities yet",
    "runtimeClassName": "runtimeClassName: programs run directly on this machine",
}
_CONFINEMENT = "securityContext (user, capabilities, seccomp, read-only root): programs run as you do, only new privileges are barred"


def _read_pod(place: str, template: dict[str, Any], names: tuple[str, str, str], reading: Reading) -> Pod:
    """One Pod of a template; names: its own, its workload's, its namespace."""
    name, workload, namespace = names
    spec = Fields(place, "spec.template.spec", template.get("spec") or {})
    labels = (template.get("metadata") or {}).get("labels") or {}
    if spec.take("restartPolicy", str, "Always") != "Always":
        spec.refuse("restartPolicy", "is not Always, the only one a Deployment may have. Remove it.")
    for known in _WITHOUT_EFFECT:
        spec.optional(known, object)
    for known, note in _POD_NOTES.items():
        if spec.optional(known, object):
            reading.note(note, name)
    if spec.take("automountServiceAccountToken", bool, True):
        reading.note("automountServiceAccountToken: there is no API server to speak to", name)
    if spec.take("securityContext", dict, {}):
        reading.note(_CONFINEMENT, name)
    grace = spec.take("terminationGracePeriodSeconds", int, 30)
    volumes = tuple(_read_volume(volume, name, reading) for volume in spec.each("volumes"))
    init = tuple(_read_container(container, name, reading) for container in spec.each("initContainers"))
    containers = tuple(_read_container(container, name, reading) for container in spec.each("containers"))
    spec.finish()
    if not containers:
        raise FieldError(place, "spec.template.spec.containers", "is empty. A Pod runs at least one container.")
    declared = {volume.name for volume in volumes}
    for container in (*init, *containers):
        for volume, path in container.mounts:
            if volume not in declared:
                raise FieldError(place, f"container {container.name}", f"mounts {volume!r} at {path}, a volume the Pod does not declare. Declare it.")
    return Pod(name, workload, namespace, labels, init, containers, volumes, float(grace), labels.get("serving.kserve.io/inferenceservice"))


def _read_volume(fields: Fields, pod: str, reading: Reading) -> Volume:
    name = fields.take("name", str)
    for kind in ("persistentVolumeClaim", "configMap", "emptyDir"):
        source = fields.optional(kind, dict)
        if source is None:
            continue
        inner = Fields(fields.place, f"{fields.path}.{kind}", source)
        fields.finish()
        if kind == "emptyDir":
            if inner.optional("sizeLimit", object) is not None:
                reading.note("emptyDir.sizeLimit: a folder of this disk has no limit of its own", pod)
            medium = inner.take("medium", str, "")
            inner.finish()
            return Volume(name, "emptyDir", medium)
        source_name = inner.take("claimName" if kind == "persistentVolumeClaim" else "name", str)
        if inner.take("readOnly", bool, False):
            reading.note("readOnly volumes: the folder stays writable", pod)
        inner.finish()
        return Volume(name, "persistentVolumeClaim" if kind == "persistentVolumeClaim" else "configMap", source_name)
    raise FieldError(fields.place, fields.path, f"({name}) is of a kind the plane cannot mount. It knows persistentVolumeClaim, configMap, emptyDir.")


def _read_container(fields: Fields, pod: str, reading: Reading) -> Container:
    name = fields.take("name", str)
    who = f"{pod}/{name}"
    fields.optional("imagePullPolicy", str)
    fields.optional("terminationMessagePath", str)
    fields.optional("terminationMessagePolicy", str)
    if fields.optional("securityContext", dict):
        reading.note(_CONFINEMENT, who)
    ports = []
    for position, port in enumerate(fields.each("ports")):
        ports.append((port.take("name", str, str(position)), port.take("containerPort", int)))
        if port.take("protocol", str, "TCP") != "TCP":
            port.refuse("protocol", "is not TCP. The plane checks TCP ports only.")
        port.finish()
    mounts = []
    for mount in fields.each("volumeMounts"):
        mounts.append((mount.take("name", str), mount.take("mountPath", str).rstrip("/")))
        if mount.take("readOnly", bool, False):
            reading.note("readOnly volumes: the folder stays writable", who)
        mount.finish()
    resources = fields.inside("resources")
    limits, _ = resources.inside("limits"), resources.optional("requests", dict)
    memory = limits.optional("memory", object)
    if limits.optional("cpu", object) is not None:
        reading.note("resources.limits.cpu: programs share this machine's cores", who)
    limits.finish()
    resources.finish()
    named = dict(ports)
    container = Container(
        name=name, image=fields.take("image", str),
        command=fields.texts("command"), args=fields.texts("args"),
        env=tuple(_read_variable(variable) for variable in fields.each("env")),
        config_maps=tuple(_read_environment(source) for source in fields.each("envFrom")),
        mounts=tuple(mounts), ports=tuple(ports),
        startup=read_probe(fields, "startupProbe", named), readiness=read_probe(fields, "readinessProbe", named),
        liveness=read_probe(fields, "livenessProbe", named),
        memory_limit=None if memory is None else parse_bytes(f"{fields.place}: {fields.path}.resources.limits.memory", str(memory)),
    )
    fields.finish()
    return container


def _read_variable(fields: Fields) -> Variable:
    name, value, source = fields.take("name", str), fields.take("value", str, ""), fields.inside("valueFrom")
    fields.finish()
    pod_field, key = source.inside("fieldRef"), source.inside("configMapKeyRef")
    source.finish()
    pod_field.optional("apiVersion", str)
    variable = Variable(name, value, pod_field.take("fieldPath", str, ""), key.take("name", str, ""), key.take("key", str, ""))
    pod_field.finish()
    key.finish()
    return variable


def _read_environment(fields: Fields) -> str:
    source = fields.inside("configMapRef")
    fields.finish()
    name = source.take("name", str)
    source.finish()
    return name
