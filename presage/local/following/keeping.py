"""The process that follows, kept alive by the supervisor: started while a branch is followed, started again when it ended, ended with the plane.

It is a process of its own so that a Git that hangs, or a long policy, never keeps the supervisor from its Pods.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from presage.local.children import MARK
from presage.local.following.record import following_path

PERIOD = 0.5  # seconds between two looks at whether a branch is followed
FIRST_PAUSE, LONGEST_PAUSE, GOOD_RUN = 1.0, 30.0, 60.0  # seconds between two starts; a run of GOOD_RUN forgets earlier failures
NAME = "following"
Command = Callable[[Path], list[str]]


def command(root: Path) -> list[str]:
    return [sys.executable, "-m", "presage.local.following", "--state", str(root), "--attached", str(os.getpid())]


async def keep(root: Path, command: Command = command) -> None:
    """Until it is cancelled. Raises nothing else."""
    pause = FIRST_PAUSE
    while True:
        if not following_path(root / "plane").is_file():
            await asyncio.sleep(PERIOD)
            continue
        began = time.monotonic()
        try:
            await _run(root, command(root))
        except OSError as error:
            print(f"the process that follows the branch cannot be started: {error}", file=sys.stderr, flush=True)
        pause = FIRST_PAUSE if time.monotonic() - began > GOOD_RUN else pause
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _run(root: Path, words: list[str]) -> None:
    """One run of it, to its end."""
    log = root / "plane" / "logs" / f"{NAME}.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    environment = {**os.environ, MARK: str(root.resolve())}
    with log.open("ab") as output:
        log.chmod(0o600)
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)  # it goes on from any moment
            await process.wait()
