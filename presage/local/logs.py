"""What the plane's processes wrote."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from presage.errors import UsageError
from presage.state import State


def log_names(state: State) -> list[str]:
    """Names that have a log, sorted; those of the last plane too."""
    return sorted(path.stem for path in (state.plane / "logs").glob("*.log"))


def log_path(state: State, name: str) -> Path:
    """The log of the process called `name`. Raises UsageError naming those there are."""
    names = log_names(state)
    newest = _newest(state, name)
    if newest is not None and newest.is_file():
        return newest
    if name not in names:
        there = f"There is {', '.join(names)}." if names else "Nothing ran here yet: `presage up` starts it."
        raise UsageError(f"there is no log of {name!r} in {state.root}. {there}")
    return state.plane / "logs" / f"{name}.log"


def _newest(state: State, workload: str) -> Path | None:
    """The log of the first container of the newest Pod of `workload`, while a plane runs: after a rolling update it is another Pod's."""
    from presage.local.record import read_record

    record = read_record(state.plane)
    found = [process for process in record.processes if process.workload == workload and process.name in (workload, process.pod)] if record else []
    return Path(found[-1].log) if found else None


def last_lines(path: Path, count: int) -> str:
    """The last `count` lines."""
    return _tail(path.read_text(errors="replace"), count)


def follow(path: Path, count: int, period: float = 0.2) -> Iterator[str]:
    """The last `count` lines, then what is written from then on, without end; a log that was emptied or replaced is read from its start."""
    handle = path.open(errors="replace")
    try:
        yield _tail(handle.read(), count)
        while True:
            if text := handle.read():
                yield text
                continue
            now = path.stat() if path.exists() else None
            if now is not None and (now.st_ino != os.fstat(handle.fileno()).st_ino or now.st_size < handle.tell()):
                handle.close()
                handle = path.open(errors="replace")
                continue
            time.sleep(period)
    finally:
        handle.close()


def _tail(text: str, count: int) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[-count:] if count else [])
