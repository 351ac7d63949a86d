"""Why a step failed, in its own sentence: read from the log, where the step's process left its last words."""

import re
from importlib import import_module
from pathlib import Path

from presage.errors import PresageError, RunFailed

_TRACE = re.compile(r"^\s*Traceback \(most recent call last\):")
_LAST_WORDS = re.compile(r"^\s*(?P<kind>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_DISK_FULL = ("[Errno 28]", "[Errno 122]", "No space left on device", "os error 28")


def failure_of(what: str, log: Path, disk_full: bool = False) -> RunFailed:
    """what: `Step train`, or the pipeline where no step failed. The sentence of the PresageError that ended it; else what its
    process said last, and where the whole of it is. disk_full: the log could not be written to its end."""
    kind, message = _last_words(log.read_text(errors="replace").splitlines() if log.exists() else [])
    if (disk_full and not kind) or any(sign in message for sign in _DISK_FULL):
        return RunFailed(f"{what}: no space left on the device that holds {log.parent}. Free some space and run again: finished steps are kept.")
    if kind and _is_ours(kind):
        return RunFailed(f"{what}: {message}")
    if kind in {"MemoryError", "numpy._core._exceptions._ArrayMemoryError"}:
        return RunFailed(f"{what}: not enough memory ({message or 'MemoryError'}). Give less telemetry at once, or a machine with more memory.")
    if kind:
        return RunFailed(f"{what} ended with a fault in presage itself ({kind}: {message}). The whole trace is in {log}; please report it with that.")
    return RunFailed(f"{what} was ended from outside before it could say why (often: too little memory). {log} holds what it wrote; run again to go on.")


def _last_words(lines: list[str]) -> tuple[str, str]:
    """(exception's dotted name, its message) of the last trace; two empty strings where the process left none."""
    started = [number for number, line in enumerate(lines) if "Executing task" in line]
    lines = lines[started[-1] :] if started else lines
    traces = [number for number, line in enumerate(lines) if _TRACE.match(line)]
    if not traces:
        return "", ""
    margin = len(lines[traces[-1]]) - len(lines[traces[-1]].lstrip())
    for line in lines[traces[-1] + 1 :]:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent <= margin and (found := _LAST_WORDS.match(line)):
            return found["kind"], (found["message"] or "").strip()
    return "", ""


def _is_ours(kind: str) -> bool:
    module, _, name = kind.rpartition(".")
    if module.split(".")[0] not in {"presage", "components", "inference", "feature_store"}:
        return False
    return issubclass(getattr(import_module(module), name, Exception), PresageError)
