"""One container as a process: started (or found again), probed, watched, restarted with back-off, stopped."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import psutil

from presage.errors import PresageError
from presage.local import processes
from presage.local.invocation import Invocation, Invoke
from presage.local.pods import Container
from presage.local.probe import Probe, ask
from presage.local.processes import Process
from presage.local.record import ProcessRecord

FIRST_BACK_OFF, LONGEST_BACK_OFF, GOOD_RUN = 0.5, 60.0, 60.0  # seconds; a run of GOOD_RUN forgets earlier failures
IMPATIENCE = 0.1  # seconds between questions until a container is ready: a person waits for it
_LOG_LIMIT = 10 * 2**20  # bytes; then the log becomes <name>.log.1


class ContainerRun:
    """A container's life. `record` is what the plane's record shows of it; `changed` is called when that changes."""

    def __init__(
        self, container: Container, invoke: Invoke, record: ProcessRecord, changed: Callable[[], None], running: Process | None = None,
    ) -> None:
        """invoke: what to execute, asked at each start. running: its process where an earlier program of the plane started it already."""
        self.container = container
        self.record = record
        self._invoke = invoke
        self._invocation: Invocation | None = None
        self._changed = changed
        self._running = running
        self._stopping = asyncio.Event()
        self.started = asyncio.Event()

    @property
    def adopted(self) -> bool:
        """Whether its process runs already and was found again."""
        return self._running is not None

    async def run_once(self) -> bool:
        """An init container's turn: run to the end; whether it succeeded (exit code 0)."""
        self._set(phase="initializing")
        succeeded = await self._execute(probed=False) == 0
        if succeeded:
            self._set(phase="done", ready=True)
        return succeeded

    async def run(self) -> None:
        """Run, and run again whenever it ends, until `stop`. The wait between doubles while it fails."""
        wait = FIRST_BACK_OFF
        while not self._stopping.is_set():
            began = time.monotonic()
            await self._execute(probed=True)
            if self._stopping.is_set():
                return
            wait = FIRST_BACK_OFF if time.monotonic() - began > GOOD_RUN else wait
            self.record.restarts += 1
            await self.back_off(wait)
            wait = min(wait * 2, LONGEST_BACK_OFF)

    async def back_off(self, seconds: float) -> None:
        """Wait before the next attempt; a stop ends the wait."""
        self._set(phase="backing-off", ready=False)
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def stop(self) -> None:
        """Ask it to end: SIGTERM, and SIGKILL once its grace is over."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def _execute(self, probed: bool) -> int | None:
        """One process from start to end; its exit code (None: not known). Afterwards nothing of its process group is left."""
        self._rotate_log()
        process, self._running = self._running, None
        adopted = process is not None
        try:
            what = self._invocation = self._invoke()
            with self._open_log() as log:
                mark = log.tell()
                if process is None:
                    process = processes.start(what.command, environment=what.environment, folder=what.folder, output=log)
        except (OSError, PresageError) as error:
            self.record.failures += 1
            self._set(phase="stopped", ready=False, ended=f"cannot be started: {error.strerror if isinstance(error, OSError) else error}")
            return 127
        if not adopted:
            self._set(
                phase="starting" if probed else "initializing", ready=False, pid=process.pid, created=process.created, started=time.time(), message="",
            )
        watch = asyncio.create_task(self._watch(process.pid, probed, adopted))
        stop = asyncio.create_task(self._stopping.wait())
        end = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({watch, stop, end}, return_when=asyncio.FIRST_COMPLETED)
            killed_for = watch.result() if watch.done() and not end.done() else ""
            if not end.done():
                await self._end(process, end, at_once=killed_for.startswith("OOMKilled"))
        finally:
            for task in (watch, stop):
                task.cancel()
            process.kill_group()
        code = await end
        self.started.clear()
        succeeded = code == 0 and not probed
        self.record.failures += 0 if self._stopping.is_set() or self.record.ready or succeeded else 1
        self._set(phase="stopped", ready=False, pid=None, started=None, ended=killed_for or self._last_words(mark, code))
        return code

    async def _end(self, process: Process, end: "asyncio.Task[int | None]", at_once: bool) -> None:
        self._set(phase="stopping", ready=False)
        if not at_once:
            grace = self._invocation.grace if self._invocation else 0
            if lingers := min(self.container.lingers, grace):
                await asyncio.wait({end}, timeout=lingers)
            if not end.done():
                process.signal(signal.SIGTERM)
            await asyncio.wait({end}, timeout=grace - lingers)
        if not end.done():
            process.kill_group()

    async def _watch(self, pid: int, probed: bool, adopted: bool) -> str:
        """Probes and memory, until the process must be ended; the reason why."""
        tasks = [asyncio.create_task(self._watch_memory(pid))]
        if probed:
            tasks.append(asyncio.create_task(self._watch_probes(adopted)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()

    async def _watch_memory(self, pid: int) -> str:
        limit = self.container.memory_limit
        while True:
            await asyncio.sleep(1)
            self._shorten_log()
            used = resident_bytes(pid)
            if limit is not None and used > limit:
                return f"OOMKilled: used {used / 2**20:.0f} MiB, over its limit of {limit / 2**20:.0f} MiB"

    async def _watch_probes(self, adopted: bool) -> str:
        was_up = adopted and self.record.phase == "running"  # what ran and was ready stays so until a probe says otherwise
        if not was_up and self.container.startup is not None and (reason := await self._until_started(self.container.startup)):
            return f"did not start: {reason}"
        self.started.set()
        self._set(phase="running", ready=self.container.readiness is None or (was_up and self.record.ready))
        watching = {asyncio.create_task(self._watch_readiness())}
        if self.container.liveness is not None:
            watching.add(asyncio.create_task(self._until_failed(self.container.liveness)))
        try:
            done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
            return f"is not alive: {done.pop().result()}"
        finally:
            for task in watching:
                task.cancel()

    async def _until_started(self, probe: Probe) -> str:
        """Ask until the first good answer (empty), or until the time for as many failures as it may have is over (the reason)."""
        await asyncio.sleep(probe.initial_delay)
        until = time.monotonic() + probe.failures * probe.period
        while reason := await self._ask(probe):
            if time.monotonic() > until:
                return reason
            await asyncio.sleep(min(IMPATIENCE, probe.period))
        return ""

    async def _until_failed(self, probe: Probe) -> str:
        """Ask until the probe has failed as often in a row as it may; the reason."""
        await asyncio.sleep(probe.initial_delay)
        failed = 0
        while True:
            reason = await self._ask(probe)
            failed = failed + 1 if reason else 0
            if reason and failed >= probe.failures:
                return reason
            await asyncio.sleep(probe.period)

    async def _watch_readiness(self) -> str:
        probe = self.container.readiness
        if probe is None:
            await asyncio.Event().wait()
            return ""
        await asyncio.sleep(probe.initial_delay)
        good = bad = 0
        while True:
            reason = await self._ask(probe)
            good, bad = (good + 1, 0) if reason is None else (0, bad + 1)
            if reason is None and good >= probe.successes and not self.record.ready:
                self.record.failures = 0
                self._set(ready=True, message="")
            elif reason is not None and (bad >= probe.failures or not self.record.ready):
                self._set(ready=False, message=f"not ready: {reason}")
            await asyncio.sleep(probe.period if self.record.ready else min(IMPATIENCE, probe.period))

    async def _ask(self, probe: Probe) -> str | None:
        return await ask(probe, self.record.inner, self._invocation.environment if self._invocation else {})

    def _set(self, **values: object) -> None:
        before = {name: getattr(self.record, name) for name in values}
        for name, value in values.items():
            setattr(self.record, name, value)
        if before != values:
            self._changed()

    def _open_log(self) -> BinaryIO:
        descriptor = os.open(self.record.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        handle = os.fdopen(descriptor, "ab")
        handle.seek(0, os.SEEK_END)
        return handle

    def _rotate_log(self) -> None:
        log = Path(self.record.log)
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_name(log.name + ".1"))

    def _shorten_log(self) -> None:
        """A running program keeps its file: copy it aside, then empty it (it writes at the end, wherever that is)."""
        log = Path(self.record.log)
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.with_name(log.name + ".1").write_bytes(log.read_bytes()[-_LOG_LIMIT:])
            os.truncate(log, 0)

    def _last_words(self, mark: int, code: int | None) -> str:
        """`exit code 1: <the last line it wrote>`, as a termination message would be; of a success the code alone."""
        how = "an exit code that nobody saw" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"
        if code == 0:
            return how
        with Path(self.record.log).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(mark if mark <= size else 0, size - 4096))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        return f"{how}: {lines[-1]}" if lines else how


def resident_bytes(pid: int) -> int:
    """Memory that a process and its descendants hold; 0 where it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total
