"""Peak resident memory of a process and all that it started, by looking often."""

import re
from pathlib import Path

import psutil

MEBIBYTE = 1024 * 1024
_SHARE = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


class PeakMemory:
    """`look()` now and then; `mebibytes` is the largest sum seen."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.mebibytes = 0.0

    def look(self) -> None:
        """Sum over the tree as it is now; processes that ended meanwhile count nothing."""
        try:
            process = psutil.Process(self._pid)
            tree = (process, *process.children(recursive=True))
        except psutil.Error:
            return
        self.mebibytes = max(self.mebibytes, sum(_resident(one) for one in tree) / MEBIBYTE)


def _resident(process: psutil.Process) -> int:
    """Bytes; a page that several processes share counts in parts (Linux), elsewhere in each."""
    try:
        if found := _SHARE.search(Path(f"/proc/{process.pid}/smaps_rollup").read_bytes()):
            return int(found[1]) * 1024
    except OSError:
        pass
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
