"""What scales the plane's Deployments: the load as the plane's Prometheus and its processes tell it, looked at every fifteen seconds.

    scaler = Scaler(pods, prometheus, changed)
    scaler.replace(reading.scalings)       # of a newer plan
    scaler.strategy(workload)              # with the replicas that are wanted now
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import psutil

from presage.local.autoscaling import Course, Load, Scaling, Used, decide, read_value
from presage.local.pod import PodRun
from presage.local.pods import Workload
from presage.local.record import ScaleRecord
from presage.local.rollout import Strategy

PERIOD = 15.0  # seconds, as Kubernetes' controller looks
_PATIENCE = 5.0  # seconds for one answer of Prometheus


@dataclass(frozen=True)
class Look:
    """The processor's time that a Pod's processes had used (seconds) at a moment, while it was ready. processes: whose time it is."""

    at: float
    used: float
    processes: frozenset[int]


class Scaler:
    """Replicas of what is scaled, and why."""

    def __init__(self, pods: Callable[[], list[PodRun]], prometheus: Callable[[], str | None], changed: Callable[[], None],
                 before: Mapping[str, ScaleRecord] | None = None, period: float = PERIOD) -> None:  # fmt: skip
        """pods: those that run. prometheus: `127.x.y.z:port` where one answers. before: what an earlier program of the plane had decided."""
        self._pods, self._prometheus, self._changed, self._period = pods, prometheus, changed, period
        self._before = dict(before or {})
        self._scalings: dict[tuple[str, str], Scaling] = {}
        self._courses: dict[tuple[str, str], Course] = {}
        self._looks: dict[str, Look] = {}
        self.record: dict[str, ScaleRecord] = {}

    def replace(self, scalings: list[Scaling]) -> None:
        """What is scaled from now on. Replicas stay what they are, within the new bounds."""
        self._scalings = {scaling.key: scaling for scaling in scalings}
        self._courses = {key: course for key, course in self._courses.items() if key in self._scalings}
        known = self._before | self.record
        self.record = {}
        for scaling in scalings:
            name = "/".join(scaling.key)
            last = known.get(name, ScaleRecord(scaling.least, scaling.least, scaling.most, "not looked at yet"))
            self.record[name] = ScaleRecord(min(max(last.replicas, scaling.least), scaling.most), scaling.least, scaling.most, last.because)

    def strategy(self, workload: Workload) -> Strategy:
        """A workload's own, with the replicas that are wanted now."""
        found = self.record.get("/".join(workload.key))
        return workload.strategy if found is None else replace(workload.strategy, replicas=found.replicas)

    async def keep(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(self._period)
            await self.look(time.monotonic())

    async def look(self, now: float) -> None:
        """One look at everything that is scaled. now: seconds of a clock that never goes back."""
        used = self._use(now)
        for scaling in list(self._scalings.values()):
            name = "/".join(scaling.key)
            measured = [Load(await self._ask(trigger.query)) if trigger.query else used[scaling.key] for trigger in scaling.triggers]
            if scaling.key not in self._scalings:
                continue  # another plan came meanwhile
            last = self.record[name]
            decision, course = decide(scaling, self._courses.get(scaling.key, Course()), now=now, current=last.replicas, measured=measured)
            self._courses[scaling.key] = course
            self.record[name] = ScaleRecord(decision.replicas, scaling.least, scaling.most, decision.because)
            if self.record[name] != last:
                self._changed()

    def _use(self, now: float) -> dict[tuple[str, str], Used]:
        """The share of each Pod's request that its processes used since the last look."""
        looks: dict[str, Look] = {}
        shares: dict[tuple[str, str], list[float | None]] = {key: [] for key in self._scalings}
        for run in self._pods():
            key = (run.pod.namespace, run.pod.workload)
            if key not in self._scalings or run.ending:
                continue
            shares[key].append(None)
            if not run.ready:
                continue
            processes = frozenset(record.pid for record in run.records if record.pid is not None and record.container in _own(run))
            looks[run.pod.key] = look = Look(now, sum(_seconds(process) for process in processes), processes)
            before = self._looks.get(run.pod.key)
            if before is not None and before.processes == processes and now > before.at:
                request = self._scalings[key].request
                shares[key][-1] = 100 * (look.used - before.used) / (now - before.at) / request if request else None
        self._looks = looks
        return {key: Used(tuple(found)) for key, found in shares.items()}

    async def _ask(self, query: str) -> float | None:
        address = self._prometheus()
        if address is None:
            return None
        import httpx2

        try:
            async with httpx2.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
                answer = await client.get(f"http://{address}/api/v1/query", params={"query": query})
            return read_value(answer.json())
        except (httpx2.HTTPError, ValueError):
            return None


def _own(run: PodRun) -> set[str]:
    """The containers that a manifest writes: a proxy requests nothing there."""
    return {container.name for container in run.pod.containers}


def _seconds(pid: int) -> float:
    """The processor's time of a process, of its descendants, and of those that it has waited for; 0 where it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    total = 0.0
    for member in family:
        try:
            times = member.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
