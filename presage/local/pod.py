"""One Pod: its init containers in order, then its containers together."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from presage.errors import PlaneError
from presage.local.children import MARK
from presage.local.container import FIRST_BACK_OFF, LONGEST_BACK_OFF, ContainerRun, Invocation
from presage.local.images import IMAGE_ENVIRONMENT, program
from presage.local.pods import Container, Pod, Variable
from presage.local.probe import Probe
from presage.local.record import ProcessRecord
from presage.local.substitution import Substitution, expand_variables
from presage.local.volumes import Volumes

# What a program of this machine needs from the session it was started in; everything else comes from the manifest.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ", "SSL_CERT_FILE")


class PodRun:
    """A Pod at its address. Building it makes its volumes and checks every program and name it uses (PlaneError)."""

    def __init__(self, pod: Pod, address: str, volumes: Volumes, root: Path, changed: Callable[[], None]) -> None:
        self.pod = pod
        self._address = address
        self._volumes = volumes
        self._root = root
        self._changed = changed
        self._folders = {name: str(folder) for name, folder in volumes.prepare(pod).items()}
        self._init = [self._build(container, True) for container in pod.init_containers]
        self._main = [self._build(container, False) for container in pod.containers]

    @property
    def records(self) -> list[ProcessRecord]:
        return [run.record for run in (*self._init, *self._main)]

    async def run(self) -> None:
        """Until `stop`: what an init container cannot finish is tried again with back-off; containers start once all have finished."""
        for run in self._init:
            wait = FIRST_BACK_OFF
            while not run.stopping and not await run.run_once():
                if not run.stopping:
                    run.record.restarts += 1
                    await run.back_off(wait)
                    wait = min(wait * 2, LONGEST_BACK_OFF)
            if run.stopping:
                return
        await asyncio.gather(*(run.run() for run in self._main))

    def stop(self) -> None:
        for run in (*self._init, *self._main):
            run.stop()

    def _build(self, container: Container, initializes: bool) -> ContainerRun:
        pod = self.pod
        place = f"Pod {pod.name}, container {container.name}"
        rewrite = Substitution({path: self._folders[volume] for volume, path in container.mounts}, self._address)
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | IMAGE_ENVIRONMENT
        given: dict[str, str] = {}
        for source in container.config_maps:
            given |= self._volumes.config_map(pod.namespace, source)
        for variable in container.env:
            given[variable.name] = expand_variables(self._value(place, variable), given)
        environment |= {name: rewrite(value) for name, value in given.items()} | {MARK: str(self._root.resolve())}
        words = [rewrite(expand_variables(word, given)) for word in (*container.command, *container.args)]
        count = len(container.command)
        first = container is pod.containers[0]
        name = _numbered(pod) if first else f"{_numbered(pod)}.{container.name}"
        log = self._root / "plane" / "logs" / f"{name}.log"
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        invocation = Invocation(
            [*program(place, container.image, words[:count]), *words[count:]], environment, self._volumes.working_folder(pod), log, pod.grace,
        )
        record = ProcessRecord(
            name, pod.name, pod.workload, container.name, self._address, dict(container.ports), str(log), initializes,
            serves=pod.serves if first else None, release=_release(pod) if first else None,
        )
        return ContainerRun(_with_local_probes(container, rewrite, place), invocation, record, self._changed)

    def _value(self, place: str, variable: Variable) -> str:
        if variable.config_map:
            data = self._volumes.config_map(self.pod.namespace, variable.config_map)
            if variable.key not in data:
                raise PlaneError(f"{place}: {variable.name} wants key {variable.key!r} of ConfigMap {variable.config_map}, which lacks it. Add the key.")
            return data[variable.key]
        if variable.pod_field:
            fields = {"metadata.name": self.pod.name, "metadata.namespace": self.pod.namespace, "status.podIP": self._address}
            if variable.pod_field not in fields:
                raise PlaneError(f"{place}: {variable.name} wants the field {variable.pod_field!r}. The plane knows {', '.join(fields)}.")
            return fields[variable.pod_field]
        return variable.value


def _numbered(pod: Pod) -> str:
    """The workload's name for its first Pod, the Pod's own for further replicas."""
    return pod.workload if pod.name in (pod.workload, f"{pod.workload}-0") else pod.name


def _release(pod: Pod) -> str | None:
    """The release that the Pod's storage container is asked for."""
    return next((word for container in pod.init_containers for word in container.args if word.startswith("presage://")), None)


def _with_local_probes(container: Container, rewrite: Substitution, place: str) -> Container:
    """exec probes rewritten like the command they look at."""
    def local(probe: Probe | None) -> Probe | None:
        if probe is None or probe.kind != "exec":
            return probe
        return replace(probe, command=tuple(program(place, container.image, [rewrite(word) for word in probe.command])))

    return replace(container, startup=local(container.startup), readiness=local(container.readiness), liveness=local(container.liveness))
