"""A process of the plane, started here or found again: both are waited for in the same way.

    process = start(command, environment=…, folder=…, output=…)
    process = found(pid, created)         # None where it is gone, or the number belongs to somebody else by now
    code = await process.wait()           # None where it was found again: only a parent learns an exit code

The plane's program may be killed; its Pods run on, and the next one takes them over by process id and start time.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import psutil

from presage.local.children import prepare_child, signal_group


class Process:
    """One running program, leader of its process group. created: its start time as the system tells it (Unix seconds)."""

    def __init__(self, pid: int, created: float, child: "subprocess.Popen[bytes] | None" = None) -> None:
        self.pid = pid
        self.created = created
        self._child = child

    async def wait(self) -> int | None:
        """Until it has ended; its exit code (negative: the signal), None for one that was found again."""
        if sys.platform != "linux":
            while self.running:
                await asyncio.sleep(0.1)
        else:
            await self._until_readable()
        return None if self._child is None else self._child.wait()

    async def _until_readable(self) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            loop.add_reader(descriptor, ended.set)
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    @property
    def running(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return _same(self.pid, self.created)

    def signal(self, number: int) -> None:
        """Signal the program itself; nothing where it is gone."""
        if self.running:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def kill_group(self) -> None:
        """SIGKILL to everything it started in its group."""
        signal_group(self.pid, signal.SIGKILL)


def start(command: Sequence[str], *, environment: Mapping[str, str], folder: Path, output: BinaryIO) -> Process:
    """Start a program in a session of its own. Raises OSError."""
    child = subprocess.Popen(
        list(command), env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        preexec_fn=prepare_child,  # noqa: PLW1509 - two system calls and no lock
    )
    try:
        created = psutil.Process(child.pid).create_time()
    except psutil.Error:
        created = 0.0
    return Process(child.pid, created, child)


def found(pid: int | None, created: float) -> Process | None:
    """The process of that number and start time, if it still runs."""
    return Process(pid, created) if pid is not None and _same(pid, created) else None


def _same(pid: int, created: float) -> bool:
    try:
        process = psutil.Process(pid)
        same: bool = abs(process.create_time() - created) < 0.05 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
    return same
