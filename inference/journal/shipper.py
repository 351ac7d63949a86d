"""The server's hold on its shipper: a child process that is started again when it dies and ends when its pipe closes."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from presage.logs import get_logger

_log = get_logger("presage.shipper")


class Shipper:
    """Runs `python -m inference.journal.ship`. `start` and `drain` belong to one event loop."""

    def __init__(self, journal: Path, prediction_log: Path, every: float = 5.0, restart_after: float = 2.0) -> None:
        self.journal, self.prediction_log = journal, prediction_log
        self._every, self._restart_after = every, restart_after
        self._process: asyncio.subprocess.Process | None = None
        self._draining = False
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._launch()
        self._watch = asyncio.create_task(self._keep_running())

    async def drain(self, seconds: float) -> bool:
        """Close the pipe and wait until every record is in the prediction log; False where that took too long or failed."""
        self._draining = True
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        if self._process is None or self._process.returncode is not None:
            await self._launch()
        process = self._process
        assert process is not None and process.stdin is not None
        process.stdin.close()
        try:
            return await asyncio.wait_for(process.wait(), seconds) == 0
        except TimeoutError:
            process.kill()
            await process.wait()
            return False

    async def _launch(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "inference.journal.ship", str(self.journal), str(self.prediction_log), "--follow", str(self._every),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def _keep_running(self) -> None:
        while not self._draining:
            assert self._process is not None
            code = await self._process.wait()
            _log.error("the shipper ended; starting it again", exit_code=code)
            await asyncio.sleep(self._restart_after)
            await self._launch()
