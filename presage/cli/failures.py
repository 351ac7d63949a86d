"""What a person sees when something fails: one sentence on stderr and an exit code, never a traceback.

    a PresageError            its message                                     its exit code (1, or 2 for wrong usage)
    wrong command line        what is wrong, and which --help says more       2
    Ctrl-C                    nothing                                         130
    a reader that went away   nothing (`presage status | head -1`)            141
    a full disk               the file, and that nothing was changed          1
    a place not to be written the file or folder, and why                     1
    anything else             what it was, and the log with the whole trace   70: a fault of ours
"""

import errno
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from presage.errors import PresageError

INTERRUPTED = 130  # 128 + SIGINT
READER_GONE = 141  # 128 + SIGPIPE
OUR_FAULT = 70  # EX_SOFTWARE of sysexits.h
LONGEST_FACT = 300  # characters of what an exception says


def explain(error: BaseException) -> int:
    """Say on stderr what happened, in a sentence; return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # Python flushes stdout once more at exit; give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    code, sentence = told(error)
    say(sentence)
    return code


def told(error: BaseException) -> tuple[int, str]:
    """The exit code and the sentence of a failure; the trace of a fault of ours goes into the state's log."""
    if isinstance(error, PresageError):
        return error.exit_code, error.message
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f"{error.filename}: " if error.filename else ""
        return 1, f"{place}no space left on the device. Free some space and run the command again."
    if isinstance(error, OSError) and error.filename and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return 1, f"{error.filename}: {(error.strerror or 'not permitted').lower()}. Name a place that you may write to, or change who may."
    first = (str(error).strip().splitlines() or [""])[0]
    fact = f"{type(error).__name__}: {first}" if first else type(error).__name__
    log = _write_trace(error)
    where = f"The whole trace is in {log}; please report it with that." if log else "The trace could not be written: the state directory is not usable."
    return OUR_FAULT, f"A fault in presage itself ({fact[:LONGEST_FACT]}). {where}"


def say(sentence: str) -> None:
    """One line on stderr; line breaks inside are folded, control characters are shown, not sent to the terminal."""
    line = " ".join(sentence.split())
    print("".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in line), file=sys.stderr)


def _write_trace(error: BaseException) -> Path | None:
    from presage.state import State

    try:
        folder = State.open().root / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        log = folder / "faults.log"
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a") as handle:
            handle.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} presage {' '.join(sys.argv[1:])}\n")
            handle.writelines(traceback.format_exception(error))
    except (OSError, PresageError):
        return None
    return log
