"""The process that holds the orchestrator: kfp.local with subprocesses, its own cache, and a line a step for whoever started it.

Started by pipelines.runner in a session of its own. stdin: one JSON request, then silence; when it ends, whoever started us is
gone, and this process takes its whole session with it: nothing goes on running behind a killed run. stdout: one JSON event a
line (pipelines.events). What the orchestrator and the steps write goes to the log file alone.
"""

import errno
import json
import logging
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from typing import IO, Any

from pipelines.catalogue import find_pipeline
from pipelines.events import EventFilter


def main() -> int:
    """0 where every step succeeded, else 1; what failed is in the events and in the log."""
    os.umask(0o077)
    request = json.loads(sys.stdin.readline())
    events = os.fdopen(os.dup(1), "w", buffering=1)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    return _run(request, events)


def _end_with_starter() -> None:
    sys.stdin.read()
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _run(request: dict[str, Any], events: IO[str]) -> int:
    from kfp import local

    warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
    pipeline = find_pipeline(request["pipeline"]).load()

    def send(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")

    logger = logging.getLogger()
    logger.setLevel(logging.INFO)
    log = WorkerLog(sys.stderr)
    logger.addHandler(log)
    logger.addFilter(EventFilter(send))
    local.init(
        runner=local.SubprocessRunner(use_venv=False), pipeline_root=request["root"], raise_on_error=True,
        enable_caching=request["cache"] is not None, cache_root=request["cache"],
    )
    try:
        task = pipeline(**request["arguments"])
    except RuntimeError as error:  # a step failed: its own sentence is in the log
        with suppress(OSError):
            print(error, file=sys.stderr, flush=True)
        send({"event": "failed", "disk_full": log.disk_full})
        return 1
    send({"event": "outputs", "artifacts": {name: _place(value) for name, value in task.outputs.items()}})
    return 0


class WorkerLog(logging.StreamHandler[Any]):
    """disk_full: whether something could not be written for want of space. The words of a step that failed for the same reason are lost then."""

    disk_full = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        error = sys.exc_info()[1]
        self.disk_full |= isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _place(value: Any) -> Any:
    return [_place(item) for item in value] if isinstance(value, list) else value.uri


if __name__ == "__main__":
    # os._exit: the thread that waits on stdin must not hold the process back.
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
