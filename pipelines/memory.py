"""Peak resident memory of a process and all that it started, by looking often."""

import psutil

MEBIBYTE = 1024 * 1024


class PeakMemory:
    """`look()` now and then; `mebibytes` is the largest sum seen. Pages shared between processes count in each."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.mebibytes = 0.0

    def look(self) -> None:
        """Sum over the tree as it is now; processes that ended meanwhile count nothing."""
        total = 0
        try:
            process = psutil.Process(self._pid)
            for one in (process, *process.children(recursive=True)):
                try:
                    total += one.memory_info().rss
                except psutil.Error:
                    continue
        except psutil.Error:
            return
        self.mebibytes = max(self.mebibytes, total / MEBIBYTE)
