"""What to execute for a container: its program, arguments, environment and folder, everything rewritten for this machine."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from presage.errors import PlaneError
from presage.files import write_bytes
from presage.hosts import VARIABLE
from presage.local.addresses import PodAddress
from presage.local.children import MARK
from presage.local.images import IMAGE_ENVIRONMENT, ours, program
from presage.local.pods import Container, Pod, Variable
from presage.local.probe import Probe
from presage.local.substitution import Substitution, expand_variables
from presage.local.volumes import Volumes

# What a program of this machine needs from the session it was started in; everything else comes from the manifest.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ", "SSL_CERT_FILE")
_FIELDS = ("metadata.name", "metadata.namespace", "spec.serviceAccountName", "status.podIP", "status.hostIP")
_UID = "metadata.uid"
_LABEL = "metadata.labels['"
TERMINATION = "/dev/termination-log"  # where a cluster looks for a container's last words


@dataclass(frozen=True)
class Invocation:
    """One program to start; grace in seconds."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    log: Path
    grace: float


Invoke = Callable[[], Invocation]


def invocation(pod: Pod, container: Container, address: PodAddress, volumes: Volumes, *, root: Path, log: Path) -> Invocation:
    """The container as it is to be started now: Secrets and ConfigMaps in its environment are read at each start, as a kubelet does."""
    place = f"Pod {pod.name}, container {container.name}"
    rewrite = substitution(pod, (container,), address, volumes)
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | IMAGE_ENVIRONMENT
    given: dict[str, str] = {}
    for kind, source in container.sources:
        if kind == "ConfigMap":
            given |= volumes.config_map(pod.namespace, source)
        else:
            given |= {key: value.decode() for key, value in volumes.secret(pod.namespace, source).items()}
    for variable in container.env:
        given[variable.name] = expand_variables(_value(place, pod, variable, address, volumes), given)
    environment |= {name: rewrite(value) for name, value in given.items()}
    environment |= {MARK: str(root.resolve()), VARIABLE: str(_hosts(root, pod))}
    words = [rewrite(expand_variables(word, given)) for word in (*container.command, *container.args)]
    count = len(container.command)
    command = [*program(place, container.image, words[:count]), *words[count:]]
    return Invocation(command, environment, volumes.working_folder(pod), log, pod.grace)


def hosts_of(root: Path, pod: Pod) -> Path:
    """Where the names lie that this Pod's programs can call: the plane's, and the Services that its own Envoy takes calls to."""
    return root / "plane" / "hosts" / f"{pod.namespace}.{pod.name}.json"


def _hosts(root: Path, pod: Pod) -> Path:
    """The Pod's own file; until the plane has written it, what it knows for all."""
    file, shared = hosts_of(root, pod), root / "plane" / "hosts.json"
    if not file.exists() and shared.exists():
        file.parent.mkdir(mode=0o700, exist_ok=True)
        write_bytes(file, shared.read_bytes())
    return file


def substitution(pod: Pod, containers: tuple[Container, ...], address: PodAddress, volumes: Volumes) -> Substitution:
    """Mount paths of these containers, and the addresses that stand for every address of the Pod."""
    folders = volumes.folders(pod)
    paths = {path: folders[volume] / inside if inside else folders[volume] for one in containers for volume, path, inside in one.mounts}
    paths[TERMINATION] = volumes.working_folder(pod) / f"termination-{containers[0].name}"
    return Substitution({path: str(folder) for path, folder in paths.items()}, address.inner)


def foreign_rewrite(pod: Pod, address: PodAddress, volumes: Volumes) -> Substitution | None:
    """How ConfigMaps of a Pod are rewritten that foreign programs read; None where none does: our own take all paths from args and env."""
    containers = (*pod.init_containers, *pod.containers)
    shown = {volume.name for volume in pod.volumes if any(source.kind == "ConfigMap" for source in volume.files)}
    read = any(not ours(one.image) and any(volume in shown for volume, _, _ in one.mounts) for one in containers)
    return substitution(pod, containers, address, volumes) if read else None


def check(pod: Pod, volumes: Volumes) -> None:
    """Programs, Pod fields and ConfigMap keys that the Pod names, before anything starts. Raises PlaneError."""
    for container in (*pod.init_containers, *pod.containers):
        place = f"Pod {pod.name}, container {container.name}"
        program(place, container.image, container.command)
        for probe in (container.startup, container.readiness, container.liveness):
            if probe is not None and probe.kind == "exec":
                program(f"{place}, probe", container.image, probe.command)
        for variable in container.env:
            if variable.config_map or variable.pod_field:
                _value(place, pod, variable, PodAddress("127.0.0.1", "127.0.0.1"), volumes)
    volumes.folders(pod)
    for source in (source for volume in pod.volumes for source in volume.files):
        if source.kind == "ConfigMap" and not source.optional:
            volumes.config_map(pod.namespace, source.name)


def local_probes(pod: Pod, container: Container, address: PodAddress, volumes: Volumes) -> Container:
    """exec probes rewritten like the command they look at."""
    rewrite = substitution(pod, (container,), address, volumes)
    place = f"Pod {pod.name}, container {container.name}"

    def local(probe: Probe | None) -> Probe | None:
        if probe is None or probe.kind != "exec":
            return probe
        return replace(probe, command=tuple(program(place, container.image, [rewrite(word) for word in probe.command])))

    return replace(container, startup=local(container.startup), readiness=local(container.readiness), liveness=local(container.liveness))


def _value(place: str, pod: Pod, variable: Variable, address: PodAddress, volumes: Volumes) -> str:
    if variable.config_map:
        return _key(place, variable, "ConfigMap", variable.config_map, volumes.config_map(pod.namespace, variable.config_map))
    if variable.secret:
        texts = {key: value.decode() for key, value in volumes.secret(pod.namespace, variable.secret).items()}
        return _key(place, variable, "Secret", variable.secret, texts)
    if not variable.pod_field:
        return variable.value
    if variable.pod_field.startswith(_LABEL):
        return pod.labels.get(variable.pod_field.removeprefix(_LABEL).removesuffix("']"), "")
    if variable.pod_field == _UID:
        return volumes.uid(pod)
    fields = dict(zip(_FIELDS, (pod.name, pod.namespace, pod.service_account, address.outer, address.outer), strict=True))
    if variable.pod_field not in fields:
        raise PlaneError(f"{place}: {variable.name} wants the field {variable.pod_field!r}. The plane knows {', '.join((*fields, _UID))} and labels.")
    return fields[variable.pod_field]


def _key(place: str, variable: Variable, kind: str, name: str, data: dict[str, str]) -> str:
    if variable.key not in data:
        raise PlaneError(f"{place}: {variable.name} wants key {variable.key!r} of {kind} {name}, which lacks it. Add the key.")
    return data[variable.key]
