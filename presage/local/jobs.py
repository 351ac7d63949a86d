"""CronJobs on their schedule: a Pod at each time that is due, run to its end."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from presage.local.pod import PodRun
from presage.local.pods import Periodic
from presage.local.record import JobRecord


class Jobs:
    """The CronJobs of a plan. start: makes the Pod of that name and runs it. last: how each one's last run ended, for status."""

    def __init__(self, start: Callable[[Periodic, str], tuple[PodRun, "asyncio.Task[None]"]], changed: Callable[[], None]) -> None:
        self._start = start
        self._changed = changed
        self._wanted: Mapping[tuple[str, str], Periodic] = {}
        self._due: dict[tuple[str, str], datetime | None] = {}
        self._running: dict[tuple[str, str], list[PodRun]] = {}
        self.last: dict[str, JobRecord] = {}

    def replace(self, wanted: list[Periodic]) -> None:
        """Other CronJobs from now on; a run that goes on goes on. One whose schedule did not change keeps its next time."""
        before, self._wanted = self._wanted, {one.key: one for one in wanted}
        now = datetime.now(UTC)
        for key, one in self._wanted.items():
            if key not in before or before[key].schedule != one.schedule:
                self._due[key] = one.schedule.after(now)

    async def keep(self) -> None:
        """Start what is due, for ever."""
        while True:
            now = datetime.now(UTC)
            for key, one in list(self._wanted.items()):
                due = self._due.get(key)
                if due is not None and due <= now:
                    self._due[key] = one.schedule.after(now)
                    if not one.suspended:
                        self._run(one, due)
            await asyncio.sleep(1)

    def _run(self, one: Periodic, due: datetime) -> None:
        running = self._running.setdefault(one.key, [])
        if running and one.overlap == "Forbid":
            return
        if running and one.overlap == "Replace":
            for pod in running:
                pod.stop()
        pod, task = self._start(one, f"{one.template.workload}-{int(due.timestamp()) // 60}")
        running.append(pod)
        began = time.time()

        def ended(_: "asyncio.Task[None]") -> None:
            running.remove(pod)
            message = next((record.ended for record in pod.records if record.ended and record.container == one.template.containers[0].name), "")
            self.last[f"{one.key[0]}/{one.key[1]}"] = JobRecord(began, round(time.time() - began, 3), pod.succeeded, message)
            self._changed()

        task.add_done_callback(ended)
        if one.deadline is not None:
            asyncio.get_running_loop().call_later(one.deadline, pod.stop)
