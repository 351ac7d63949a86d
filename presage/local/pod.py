"""One Pod's life: what it waits for, its proxy, its init containers in order, its containers together, and its end."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presage.errors import PlaneError, PresageError
from presage.local.addresses import PodAddress, require_free
from presage.local.container import FIRST_BACK_OFF, LONGEST_BACK_OFF, ContainerRun
from presage.local.invocation import Invocation, foreign_rewrite, invocation, local_probes
from presage.local.pods import Container, Pod
from presage.local.processes import Process, found
from presage.local.record import ProcessRecord
from presage.local.volumes import Volumes

HOPELESS = 3  # failures in a row, after which `up` and `apply` give up waiting
PROXY = "istio-proxy"


@dataclass(frozen=True)
class Site:
    """What all Pods of a plane share. waits: what a Pod must still wait for before it may start, in words (None: nothing).

    proxy: the program of a Pod's proxy, its configuration written; asked only for Pods that have one.
    """

    root: Path
    volumes: Volumes
    changed: Callable[[], None]
    waits: Callable[[Pod], str | None]
    proxy: Callable[[Pod, PodAddress], Invocation]
    proxy_container: Callable[[Pod], Container]


class PodRun:
    """A Pod at its addresses."""

    def __init__(
        self, pod: Pod, address: PodAddress, site: Site, name: str, *, before: Mapping[str, ProcessRecord], retries: int | None = None,
    ) -> None:
        """name: of its first container in logs and status. before: records of its containers, where an earlier program of the plane ran them.

        retries: of a Job's Pod, whose containers run to their end; None where they run until told to stop.
        """
        self._retries = retries
        self.succeeded = False
        self.pod = pod
        self.address = address
        self.ending = False
        self._site = site
        self._name = name
        self._before = before
        self._settled = asyncio.Event()  # its volumes are shown and it may be refreshed
        self._stop = asyncio.Event()
        self._proxy = self._proxy_run() if pod.proxy != "none" else None
        self._init = [self._run(container, True) for container in pod.init_containers]
        self._main = [self._run(container, False) for container in pod.containers]

    @property
    def records(self) -> list[ProcessRecord]:
        return [run.record for run in (*self._init, *self._main, *([self._proxy] if self._proxy else []))]

    @property
    def ready(self) -> bool:
        """Whether it may get traffic."""
        running = (*self._main, *([self._proxy] if self._proxy else []))
        return not self.ending and all(run.record.ready for run in running)

    @property
    def proxied(self) -> bool:
        """Whether its proxy runs and answers."""
        return self._proxy is not None and self._proxy.record.ready

    @property
    def started(self) -> bool:
        """Whether its volumes are made."""
        return self._settled.is_set()

    async def run(self) -> None:
        """Until `stop`: first what it waits for, then its proxy, then each init container until it succeeds, then the containers."""
        adopted = any(run.adopted for run in (*self._init, *self._main))
        if not await self._wait() or (not adopted and not await self._ports_free()):
            return
        rewrite = foreign_rewrite(self.pod, self.address, self._site.volumes)
        while not self._stop.is_set():
            try:
                self._site.volumes.show(self.pod, rewrite)
                break
            except (PresageError, OSError) as error:
                self._say(str(error))
                await self._pause(1)
        self._settled.set()
        proxy = asyncio.create_task(self._proxy.run()) if self._proxy else None
        try:
            if self._proxy is not None:
                await self._first(self._proxy.started.wait())
            await self._run_containers(adopted)
            if not self.pod.containers and not self._stop.is_set():
                await self._stop.wait()
        finally:
            if self._proxy is not None and proxy is not None:
                self._proxy.stop()
                await proxy

    async def _run_containers(self, adopted: bool) -> None:
        for run in self._init:
            if adopted and run.record.phase == "done":
                continue
            wait = FIRST_BACK_OFF
            while not self._stop.is_set() and not await run.run_once():
                if not self._stop.is_set():
                    run.record.restarts += 1
                    await run.back_off(wait)
                    wait = min(wait * 2, LONGEST_BACK_OFF)
        if self._stop.is_set():
            return
        if self._retries is None:
            await asyncio.gather(*(run.run() for run in self._main))
        else:
            self.succeeded = all(await asyncio.gather(*(self._to_its_end(run, self._retries) for run in self._main)))

    async def _to_its_end(self, run: ContainerRun, retries: int) -> bool:
        """Once, and again with back-off while it fails and may be retried; whether it succeeded."""
        wait = FIRST_BACK_OFF
        while not self._stop.is_set():
            if await run.run_once():
                return True
            if run.record.restarts >= retries:
                return False
            run.record.restarts += 1
            await run.back_off(wait)
            wait = min(wait * 2, LONGEST_BACK_OFF)
        return False

    def stop(self) -> None:
        """Ask it to end: containers first (SIGTERM, then SIGKILL once its grace is over), its proxy after them."""
        self.ending = True
        self._stop.set()
        for run in (*self._init, *self._main):
            run.stop()

    def refresh(self) -> None:
        """Show changed ConfigMaps, Secrets and tokens in its volumes. What cannot be read keeps what it was."""
        if self.started:
            try:
                self._site.volumes.show(self.pod, foreign_rewrite(self.pod, self.address, self._site.volumes))
            except (PresageError, OSError) as error:
                self._say(str(error))

    async def _wait(self) -> bool:
        """Until nothing is missing; False where it is to end before."""
        while not self._stop.is_set():
            missing = self._site.volumes.missing(self.pod) or self._site.waits(self.pod)
            self._say(missing or "")
            if missing is None:
                return True
            await self._pause(0.1)
        return False

    async def _ports_free(self) -> bool:
        """What somebody else has taken may be given back: ask again, and count it as a failure each time."""
        wait = FIRST_BACK_OFF
        while not self._stop.is_set():
            try:
                for container in self.pod.containers:
                    for _, port in container.ports:
                        owner = f"container {container.name} of Pod {self.pod.name}"
                        for address in {self.address.inner, self.address.outer}:
                            require_free(address, port, owner)
            except PlaneError as error:
                record = self.records[-1] if not self._main else self._main[0].record
                record.failures += HOPELESS
                record.ended = str(error)
                self._say(str(error))
                await self._pause(wait)
                wait = min(wait * 2, LONGEST_BACK_OFF)
                continue
            return True
        return False

    def _say(self, message: str) -> None:
        for record in self.records:
            if record.phase == "waiting" and record.message != message:
                record.message = message
                self._site.changed()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _first(self, awaited: Coroutine[Any, Any, Any]) -> None:
        """Until the coroutine is done, or the Pod is to end."""
        tasks = {asyncio.create_task(awaited), asyncio.create_task(self._stop.wait())}
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()

    def _run(self, container: Container, initializes: bool) -> ContainerRun:
        pod, site = self.pod, self._site
        first = container is pod.containers[0]
        record, running = self._record(container, self._name if first else f"{self._name}.{container.name}", initializes or self._retries is not None)
        if first:
            record.serves, record.release = pod.serves, pod.release
        log = Path(record.log)

        def invoke() -> Invocation:
            return invocation(pod, container, self.address, site.volumes, root=site.root, log=log)

        return ContainerRun(local_probes(pod, container, self.address, site.volumes), invoke, record, site.changed, running)

    def _proxy_run(self) -> ContainerRun:
        container = self._site.proxy_container(self.pod)
        record, running = self._record(container, f"{self._name}.{PROXY}" if self.pod.containers else self._name, False)
        return ContainerRun(container, lambda: self._site.proxy(self.pod, self.address), record, self._site.changed, running)

    def _record(self, container: Container, name: str, initializes: bool) -> tuple[ProcessRecord, Process | None]:
        pod = self.pod
        log = self._site.root / "plane" / "logs" / f"{name}.log"
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = self._before.get(container.name)
        running = found(before.pid, before.created) if before is not None else None
        if before is not None and (running is not None or before.phase == "done"):
            return before, running
        return ProcessRecord(
            name=name, pod=pod.name, namespace=pod.namespace, workload=pod.workload, container=container.name, address=self.address.outer,
            inner=self.address.inner, revision=pod.revision, ports=dict(container.ports), log=str(log), initializes=initializes,
        ), None  # fmt: skip
