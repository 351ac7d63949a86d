"""The process that owns a plane: `python -m presage.local.supervisor --state FOLDER [--attached PID]`.

It moves what runs towards `plane/plan.json`, which it reads again whenever that changes, keeps `plane/plane.json` true, and ends
everything on SIGTERM. Should it be killed itself, the Pods run on and the next supervisor takes them over. One supervisor a state
directory: a lock on `plane/supervisor.lock` says so.
"""

import argparse
import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from presage.errors import PlaneError, PresageError, StateError
from presage.hosts import install
from presage.local.addresses import pod_addresses
from presage.local.children import end_marked, end_with_parent
from presage.local.cluster import Cluster
from presage.local.denials import keep as keep_denials
from presage.local.denials import tell_the_last
from presage.local.following.keeping import keep as keep_following
from presage.local.holds import held
from presage.local.jobs import Jobs
from presage.local.mesh.envoy.program import require_watches
from presage.local.pod import PodRun
from presage.local.pods import Periodic, Pod, Workload
from presage.local.processes import found
from presage.local.record import (
    Plan,
    PlaneRecord,
    ProcessRecord,
    digest_of,
    plan_path,
    read_plan,
    read_record,
    record_path,
    supervisor_lock,
    this_process,
    write_record,
)  # fmt: skip
from presage.local.rollout import PodState, step
from presage.local.scaler import Scaler
from presage.local.volumes import free_memory

_WATCH = 0.2  # seconds between looks at the plan's file


class Supervisor:
    """The Pods of one plan, running."""

    def __init__(self, root: Path, plan: Plan, before: PlaneRecord | None) -> None:
        self._root = root
        self._plane = root / "plane"
        self._changed = asyncio.Event()
        self._dirty = asyncio.Event()
        self._ended = asyncio.Event()
        self._pods: dict[str, PodRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: list[PodRun] = []
        self._farewells: set[asyncio.Task[None]] = set()
        self._undirected = ""
        self._before = _by_pod(before)
        process, created = this_process()
        self.record = PlaneRecord(plan.overlay, process, created, "running", plan.bindings, plan.overrides, {}, "", [])
        self._cluster = Cluster(root, self._note_change)
        self._jobs = Jobs(self._start_job, self._note_change)
        scaled = before.scaled if before is not None else {}
        self._scaler = Scaler(self._running, lambda: self._cluster.prometheus(self._running()), self._note_change, scaled)
        self._periodic: set[tuple[str, str]] = set()
        self._adopt_plan(plan)
        if before is None:  # during a rolling update each proxy has a second one beside it
            require_watches(2 * sum(workload.strategy.replicas for workload in self._workloads.values() if workload.template.meshed))

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then every Pod is stopped with its grace, its emptyDirs go, and so does the record."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        write_record(self._plane, self.record)
        keeping: list[Coroutine[Any, Any, None]] = [self._keep_record(), self._keep_pods(), self._watch_plan(), self._jobs.keep(), self._scaler.keep()]
        keeping += [keep_following(self._root), keep_denials(self._root)]
        keeping += self._cluster.tasks(self._running)
        helpers = [asyncio.create_task(one) for one in keeping]
        ended = asyncio.create_task(self._ended.wait())
        try:
            done, _ = await asyncio.wait({ended, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {ended}:
                task.result()  # a task of ours ends only by a fault: let it be seen
        finally:
            self.record.phase = "stopping"
            self._dirty.set()
            for helper in helpers[1:]:
                helper.cancel()
            await asyncio.gather(*helpers[1:], return_exceptions=True)
            await self._stop_pods()
            await asyncio.to_thread(tell_the_last, self._root)
            helpers[0].cancel()
            record_path(self._plane).unlink(missing_ok=True)

    async def _stop_pods(self) -> None:
        """What serves first, what it stands on (OpenBao, the object store) last, so that a last journal is shipped and nothing hangs."""
        for proxied in (True, False):
            chosen = [pod for pod in self._pods.values() if pod.pod.meshed is proxied]
            for pod in chosen:
                pod.stop()
            await asyncio.gather(*(self._tasks[pod.pod.key] for pod in chosen), return_exceptions=True)
        for pod in self._pods.values():
            self._cluster.volumes.discard(pod.pod)

    def _adopt_plan(self, plan: Plan) -> None:
        """Read the plan strictly, and make it what is wanted. Raises PresageError and changes nothing where it cannot be run."""
        reading = self._cluster.replace(plan)
        self._workloads = {workload.key: workload for workload in reading.workloads}
        self._periodic = {one.key for one in reading.periodic}
        self._jobs.replace(reading.periodic)
        self._scaler.replace(reading.scalings)
        record = self.record
        record.overlay, record.bindings, record.overrides = plan.overlay, plan.bindings, plan.overrides
        record.not_honoured, record.digest, record.settled = reading.not_honoured, digest_of(plan), False
        self._note_change()

    async def _watch_plan(self) -> None:
        seen = _stamp(plan_path(self._plane))
        while True:
            await asyncio.sleep(_WATCH)
            if (stamp := _stamp(plan_path(self._plane))) == seen:
                continue
            seen = stamp
            try:
                plan = read_plan(self._plane)
                if plan is not None and digest_of(plan) != self.record.digest:
                    self._adopt_plan(plan)
                if plan is not None and self.record.trouble:  # also where a plan that could not be taken was put back
                    self.record.trouble = ""
                    self._dirty.set()
            except PresageError as error:
                self.record.trouble = str(error)
                self._dirty.set()

    async def _keep_pods(self) -> None:
        """Reconcile whenever something changed; what needs a moment (a proxy taking its routes) is awaited before the next look."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._leaving += self._plan_steps()
            directed = self._all_settled()  # a Pod that turns ready while proxies are told is known to them only the next time
            try:
                await self._cluster.direct(self._running())
                trouble = ""
            except PresageError as error:
                trouble = str(error)
            if not trouble:  # while a proxy does not take its routes nobody it may still call is stopped
                for pod in self._leaving:
                    farewell = asyncio.create_task(self._leave(pod))
                    self._farewells.add(farewell)
                    farewell.add_done_callback(self._farewells.discard)
                self._leaving = []
            if trouble != self._undirected:
                self._undirected = trouble
                self._dirty.set()
            settled = directed and not self._leaving and not trouble and self._all_settled()
            if settled != self.record.settled:
                self.record.settled = settled
                self._dirty.set()
            await asyncio.sleep(0.02)

    async def _leave(self, pod: PodRun) -> None:
        """Its callers first, then the Pod itself."""
        await self._cluster.drain(pod.pod)
        pod.stop()

    def _plan_steps(self) -> list[PodRun]:
        """Make the Pods that are due; the Pods that are to end, marked so that they get no more traffic."""
        ending: list[PodRun] = []
        for key, workload in self._workloads.items():
            pods = [pod for pod in self._pods.values() if (pod.pod.namespace, pod.pod.workload) == key]
            states = [PodState(pod.pod.name, pod.pod.revision, pod.ready, pod.ending) for pod in pods]
            due = step(self._scaler.strategy(workload), workload.template.revision, states)
            for _ in range(due.create):
                self._create(workload)
            ending += [pod for pod in pods if pod.pod.name in due.end]
        known = self._workloads.keys() | self._periodic
        ending += [pod for pod in self._pods.values() if (pod.pod.namespace, pod.pod.workload) not in known and not pod.ending]
        for pod in ending:
            pod.ending = True
        return ending

    def _create(self, workload: Workload) -> None:
        names = {pod.pod.name for pod in self._pods.values() if pod.pod.namespace == workload.template.namespace}
        ordinal = 0
        while workload.pod(ordinal).name in names:
            ordinal += 1
            if workload.kind == "Pod":
                return  # its predecessor of the same name is still going
        pod = workload.pod(ordinal)
        self._launch(pod)

    def _launch(self, pod: Pod, retries: int | None = None) -> PodRun:
        before = self._before.pop(pod.key, {})
        before = before if all(record.revision == pod.revision for record in before.values()) else {}
        taken = [address for other in self._pods.values() for address in (other.address.outer, other.address.inner)]
        address = pod_addresses(self._root, pod.key, pod.proxy == "sidecar", taken)
        run = PodRun(pod, address, self._cluster.site, self._name(pod), before=before, retries=retries)
        self._pods[pod.key] = run
        self.record.processes.extend(run.records)
        self._tasks[pod.key] = asyncio.create_task(self._live(run))
        return run

    def _start_job(self, one: Periodic, name: str) -> tuple[PodRun, "asyncio.Task[None]"]:
        run = self._launch(replace(one.template, name=name), one.retries)
        return run, self._tasks[run.pod.key]

    async def _live(self, run: PodRun) -> None:
        try:
            await run.run()
        except Exception:
            traceback.print_exc()  # into the supervisor's log: a fault of ours in one Pod ends no other
        finally:
            ours = {id(record) for record in run.records}
            self.record.processes = [record for record in self.record.processes if id(record) not in ours]
            if self.record.phase == "running":
                self._cluster.forget(run.pod)
                del self._pods[run.pod.key]
            self._note_change()

    def _name(self, pod: Pod) -> str:
        """The workload's name for its first Pod, the Pod's own for further ones; with the namespace where two workloads are called alike."""
        alike = sum(workload == pod.workload for _, workload in self._workloads) > 1
        name = pod.workload if pod.name in (pod.workload, f"{pod.workload}-0") else pod.name
        return f"{pod.namespace}.{name}" if alike else name

    def _all_settled(self) -> bool:
        return all(self._settled(workload) for workload in self._workloads.values()) and self._known_only()

    def _settled(self, workload: Workload) -> bool:
        pods = [pod for pod in self._pods.values() if (pod.pod.namespace, pod.pod.workload) == workload.key]
        wanted = [pod for pod in pods if pod.pod.revision == workload.template.revision and pod.ready]
        return len(pods) == len(wanted) == self._scaler.strategy(workload).replicas

    def _known_only(self) -> bool:
        return all((pod.pod.namespace, pod.pod.workload) in self._workloads.keys() | self._periodic for pod in self._pods.values())

    def _running(self) -> list[PodRun]:
        return list(self._pods.values())

    def _note_change(self) -> None:
        self._dirty.set()
        self._changed.set()

    async def _keep_record(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                self.record.routes = self._cluster.routes()
                self.record.client = self._cluster.client()
                self.record.gateway = self._cluster.gateway(self._running())
                self.record.waiting = self._undirected or self._cluster.waiting
                self.record.jobs = self._jobs.last
                self.record.scaled = self._scaler.record
                write_record(self._plane, self.record)
                await asyncio.sleep(0.05)  # one write for what changes together
            except StateError:  # a full disk: the Pods run on, the record follows once there is room
                self._dirty.set()
                await asyncio.sleep(1)


def _by_pod(before: PlaneRecord | None) -> dict[str, dict[str, ProcessRecord]]:
    found_before: dict[str, dict[str, ProcessRecord]] = {}
    for record in before.processes if before is not None else []:
        found_before.setdefault(f"{record.namespace}/{record.pod}", {})[record.container] = record
    return found_before


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)


def _survivors(root: Path, plan: Plan) -> PlaneRecord | None:
    """The record of a supervisor that was killed, its living processes kept and all others of the plane ended."""
    try:
        before = read_record(root / "plane")
    except StateError:
        before = None
    living = [record.pid for record in before.processes if found(record.pid, record.created)] if before is not None else []
    if not living:
        end_marked(root)
        free_memory(root)
        return None
    revisions = Cluster.revisions(root, plan)
    kept = {
        record.pid for record in (before.processes if before is not None else [])
        if record.pid is not None and revisions.get((record.namespace, record.workload)) == record.revision and record.pid in living
    }  # fmt: skip
    end_marked(root, keep=kept)
    return before


def main(arguments: list[str] | None = None) -> int:
    """Run the plane of one state directory; 1 with a sentence on stderr where it cannot."""
    parser = argparse.ArgumentParser(prog="presage.local.supervisor")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--attached", type=int, help="stop when this process, which started it, ends")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    install(options.state.absolute() / "plane" / "hosts.json")  # the plane itself calls OpenBao by the name that manifests write
    if options.attached is not None:
        end_with_parent(signal.SIGTERM, options.attached)
    root: Path = options.state.absolute()
    try:
        with held(supervisor_lock(root / "plane"), f"another supervisor runs in {root}. `presage --state {root} down` stops it."):
            plan = read_plan(root / "plane")
            if plan is None:
                raise PlaneError(f"{root} holds no plan to run. Use `presage up`.")
            asyncio.run(_run(root, plan, _survivors(root, plan)))
    except PresageError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


async def _run(root: Path, plan: Plan, before: PlaneRecord | None) -> None:
    await Supervisor(root, plan, before).run()


if __name__ == "__main__":
    sys.exit(main())
