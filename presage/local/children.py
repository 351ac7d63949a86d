"""What a container's process is before its program starts, and finding all processes of a plane again."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil

MARK = "PRESAGE_PLANE"  # in the environment of every process of a plane: the state directory it belongs to

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(number: int = signal.SIGKILL, parent: int | None = None) -> None:
    """Have the kernel send `number` to this process when its parent ends (Linux; elsewhere nothing). parent: who it was at the fork."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), number)


def prepare_child() -> None:
    """What a container's process does between fork and exec: gains no privileges, shares no files."""
    os.umask(0o077)
    if _libc is not None:
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def signal_group(leader: int, number: int) -> None:
    """Signal the process group that `leader` began; nothing where it is gone."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


def marked(root: Path) -> Iterator[psutil.Process]:
    """Living processes that belong to the plane of this state directory, the supervisor's own children and theirs."""
    wanted = str(root.resolve())
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == wanted and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.Error, OSError):
            continue


def end_marked(root: Path, patience: float = 5.0, keep: Collection[int] = ()) -> int:
    """Kill whatever a dead supervisor left behind, save `keep` and their descendants; how many there were.

    Waits until they are gone, at most `patience` seconds.
    """
    kept = {pid for leader in keep for pid in _family(leader)}
    found = [process for process in marked(root) if process.pid not in kept]
    for process in found:
        try:
            process.kill()
        except psutil.Error:
            continue
    until = time.monotonic() + patience
    while found and psutil.wait_procs(found, timeout=0.1)[1] and time.monotonic() < until:
        continue
    return len(found)


def _family(pid: int) -> set[int]:
    try:
        return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    except psutil.Error:
        return {pid}
