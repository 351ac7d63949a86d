"""A Pod template read into the Pod that the plane runs.

A field the plane does not know is refused (FieldError); one it knows and cannot enforce on plain processes is noted.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from presage.files import canonical_json, sha256_bytes
from presage.local.pods import Container, FileSource, Pod, TokenSource, Variable, Volume
from presage.local.probe import read_probe
from presage.local.quantities import parse_bytes
from presage.manifests.fields import FieldError, Fields

Note = Callable[[str, str], None]

# Fields of a Pod that ask nothing of a single machine, and those that cannot be kept on it.
_WITHOUT_EFFECT = (
    "dnsPolicy", "schedulerName", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "priorityClassName", "preemptionPolicy",
    "enableServiceLinks", "imagePullSecrets", "serviceAccount", "hostname",
)  # fmt: skip
_GPU = "nvidia.com/"
_CONFINEMENT = "securityContext (user, capabilities, seccomp, read-only root): programs run as you do, only new privileges are barred"


def read_template(place: str, template: Mapping[str, Any], workload: str, namespace: str, *, sidecars: bool, note: Note, once: bool = False) -> Pod:
    """The Pod of a template, named as its workload. sidecars: Pods of this namespace stand behind a proxy of the mesh; once: it runs to its end.

    Raises FieldError.
    """
    spec = Fields(place, "spec.template.spec", template.get("spec") or {})
    labels = {str(key): str(value) for key, value in ((template.get("metadata") or {}).get("labels") or {}).items()}
    restart = spec.take("restartPolicy", str, "Always")
    if not once and restart != "Always":
        spec.refuse("restartPolicy", "is not Always, the only one a Deployment may have. Remove it.")
    if once and restart not in ("OnFailure", "Never"):
        spec.refuse("restartPolicy", f"is {restart!r}; a Job's Pod has OnFailure or Never. Write one of them.")
    for known in _WITHOUT_EFFECT:
        spec.optional(known, object)
    account = spec.take("serviceAccountName", str, "default")
    if spec.optional("runtimeClassName", str):
        note("runtimeClassName: programs run directly on this machine", workload)
    if spec.take("automountServiceAccountToken", bool, True):
        note("automountServiceAccountToken: there is no API server to speak to", workload)
    if spec.take("securityContext", dict, {}):
        note(_CONFINEMENT, workload)
    grace = spec.take("terminationGracePeriodSeconds", int, 30)
    volumes = tuple(_read_volume(volume, workload, note) for volume in spec.each("volumes"))
    init = tuple(_read_container(container, workload, note) for container in spec.each("initContainers"))
    containers = tuple(_read_container(container, workload, note) for container in spec.each("containers"))
    spec.finish()
    if not containers:
        raise FieldError(place, "spec.template.spec.containers", "is empty. A Pod runs at least one container.")
    _check(place, volumes, init, containers)
    return Pod(
        workload, workload, namespace, account, labels, sha256_bytes(canonical_json(dict(template)))[:12], init, containers, volumes, float(grace),
        labels.get("serving.kserve.io/inferenceservice"), "sidecar" if sidecars and labels.get("sidecar.istio.io/inject") != "false" else "none",
    )


def _check(place: str, volumes: tuple[Volume, ...], init: tuple[Container, ...], containers: tuple[Container, ...]) -> None:
    declared = {volume.name for volume in volumes}
    for container in (*init, *containers):
        for volume, path, _ in container.mounts:
            if volume not in declared:
                raise FieldError(place, f"container {container.name}", f"mounts {volume!r} at {path}, a volume the Pod does not declare. Declare it.")
    taken: dict[int, str] = {}
    for container in containers:
        for _, port in container.ports:
            if port in taken:
                raise FieldError(place, f"container {container.name}", f"declares port {port}, which container {taken[port]} has. Give each its own.")
            taken[port] = container.name
    if twice := {name for name in (one.name for one in (*init, *containers)) if [one.name for one in (*init, *containers)].count(name) > 1}:
        raise FieldError(place, "spec.template.spec.containers", f"names {sorted(twice)[0]!r} twice. Rename one.")


def _read_volume(fields: Fields, who: str, note: Note) -> Volume:
    name = fields.take("name", str)
    for kind in ("persistentVolumeClaim", "configMap", "secret", "emptyDir", "projected"):
        source = fields.optional(kind, dict)
        if source is None:
            continue
        inner = Fields(fields.place, f"{fields.path}.{kind}", source)
        fields.finish()
        volume = _read_source(inner, name, kind, who, note)
        inner.finish()
        return volume
    known = "persistentVolumeClaim, configMap, secret, emptyDir, projected"
    raise FieldError(fields.place, fields.path, f"({name}) is of a kind the plane cannot mount. It knows {known}.")


def _read_source(inner: Fields, name: str, kind: str, who: str, note: Note) -> Volume:
    if kind == "emptyDir":
        if inner.optional("sizeLimit", object) is not None:
            note("emptyDir.sizeLimit: a folder of this machine has no limit of its own", who)
        medium = inner.take("medium", str, "")
        if medium not in ("", "Memory"):
            inner.refuse("medium", f"is {medium!r}. The plane knows Memory, or none.")
        return Volume(name, "emptyDir", memory=medium == "Memory")
    if kind == "persistentVolumeClaim":
        if inner.take("readOnly", bool, False):
            note("readOnly volumes: the folder stays writable", who)
        return Volume(name, "persistentVolumeClaim", claim=inner.take("claimName", str))
    inner.optional("defaultMode", int)  # files are readable by their owner only, whatever it says
    if kind == "projected":
        files, tokens = [], []
        for source in inner.each("sources"):
            given = [(key, source.inside(key)) for key in ("serviceAccountToken", "configMap", "secret") if key in source]
            source.finish()
            if len(given) != 1:
                raise FieldError(source.place, source.path, "must have exactly one of serviceAccountToken, configMap, secret. Mend it.")
            key, found = given[0]
            if key == "serviceAccountToken":
                tokens.append(TokenSource(found.take("path", str), found.take("audience", str, "kubernetes"), found.take("expirationSeconds", int, 3600)))
            else:
                files.append(_read_files(found, "ConfigMap" if key == "configMap" else "Secret", "name"))
            found.finish()
        return Volume(name, "files", files=tuple(files), tokens=tuple(tokens))
    return Volume(name, "files", files=(_read_files(inner, "ConfigMap", "name") if kind == "configMap" else _read_files(inner, "Secret", "secretName"),))


def _read_files(fields: Fields, kind: Literal["ConfigMap", "Secret"], named: str) -> FileSource:
    items = []
    for item in fields.each("items"):
        items.append((item.take("key", str), item.take("path", str)))
        item.optional("mode", int)
        item.finish()
    return FileSource(kind, fields.take(named, str), tuple(items), fields.take("optional", bool, False))


def _read_container(fields: Fields, workload: str, note: Note) -> Container:
    name = fields.take("name", str)
    who = f"{workload}/{name}"
    for silent in ("imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"):
        fields.optional(silent, str)
    if fields.optional("securityContext", dict):
        note(_CONFINEMENT, who)
    ports = []
    for position, port in enumerate(fields.each("ports")):
        ports.append((port.take("name", str, str(position)), port.take("containerPort", int)))
        if port.take("protocol", str, "TCP") != "TCP":
            port.refuse("protocol", "is not TCP. The plane checks TCP ports only.")
        port.finish()
    mounts = []
    for mount in fields.each("volumeMounts"):
        mounts.append((mount.take("name", str), mount.take("mountPath", str).rstrip("/"), mount.take("subPath", str, "")))
        if mount.take("readOnly", bool, False):
            note("readOnly volumes: the folder stays writable", who)
        mount.finish()
    named = dict(ports)
    return _finished(fields, Container(
        name=name, image=fields.take("image", str), command=fields.texts("command"), args=fields.texts("args"),
        env=tuple(_read_variable(variable) for variable in fields.each("env")),
        sources=tuple(_read_environment(source) for source in fields.each("envFrom")),
        mounts=tuple(mounts), ports=tuple(ports),
        startup=read_probe(fields, "startupProbe", named), readiness=read_probe(fields, "readinessProbe", named),
        liveness=read_probe(fields, "livenessProbe", named), memory_limit=_read_memory(fields, who, note), lingers=_read_sleep(fields),
    ))  # fmt: skip


def _finished(fields: Fields, container: Container) -> Container:
    fields.finish()
    return container


def _read_sleep(fields: Fields) -> float:
    """Seconds of `lifecycle.preStop.sleep`; another hook is refused."""
    lifecycle = fields.inside("lifecycle")
    before = lifecycle.inside("preStop")
    lifecycle.finish()
    sleep = before.inside("sleep")
    before.finish()
    seconds = sleep.take("seconds", int, 0)
    sleep.finish()
    return float(seconds)


def _read_memory(fields: Fields, who: str, note: Note) -> int | None:
    resources = fields.inside("resources")
    limits, _ = resources.inside("limits"), resources.optional("requests", dict)
    memory = limits.optional("memory", object)
    if limits.optional("cpu", object) is not None:
        note("resources.limits.cpu: programs share this machine's cores", who)
    if limits.optional("ephemeral-storage", object) is not None:
        note("resources.limits.ephemeral-storage: a folder of this machine has no limit of its own", who)
    for name in limits.raw():
        if name.startswith(_GPU):
            limits.optional(name, object)
            note("resources.limits of GPUs: programs see this machine's, or none", who)
    limits.finish()
    resources.finish()
    return None if memory is None else parse_bytes(f"{fields.place}: {fields.path}.resources.limits.memory", str(memory))


def _read_variable(fields: Fields) -> Variable:
    name, value, source = fields.take("name", str), fields.take("value", str, ""), fields.inside("valueFrom")
    fields.finish()
    pod_field, config, secret = source.inside("fieldRef"), source.inside("configMapKeyRef"), source.inside("secretKeyRef")
    source.finish()
    pod_field.optional("apiVersion", str)
    variable = Variable(
        name, value, pod_field.take("fieldPath", str, ""), config.take("name", str, ""), secret.take("name", str, ""),
        config.take("key", str, "") or secret.take("key", str, ""),
    )
    for part in (pod_field, config, secret):
        part.finish()
    return variable


def _read_environment(fields: Fields) -> tuple[Literal["ConfigMap", "Secret"], str]:
    config, secret = fields.optional("configMapRef", dict), fields.optional("secretRef", dict)
    fields.finish()
    kind: Literal["ConfigMap", "Secret"] = "ConfigMap" if config is not None else "Secret"
    inner = Fields(fields.place, f"{fields.path}.{kind}", config or secret or {})
    name = inner.take("name", str)
    inner.finish()
    return kind, name
