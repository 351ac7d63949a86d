"""Starts `python -m inference.server` as the process it is, and stops it: for the benchmark and the tests."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from benchmarks.serving_release import Site


class ServerProcess:
    """A running server. log: its lines on stderr so far; address: `http://127.0.0.1:PORT`; rpc_address: `127.0.0.1:PORT`
    with `--grpc_port`, else "".

    with ServerProcess(site, folder, "--ship_seconds=0.2") as server:
        httpx2.get(server.address + "/servers")
    """

    def __init__(self, site: Site, folder: Path, *flags: str, prefix: tuple[str, ...] = ()) -> None:
        self.journal, self.prediction_log = folder / "journal", folder / "predictions"
        self.log: list[str] = []
        command = [
            *prefix, sys.executable, "-m", "inference.server", f"--model_dir={site.model_dir}", f"--trust_keys={site.trust_keys}",
            f"--online_store={site.online_store}", f"--journal_dir={self.journal}", f"--prediction_log={self.prediction_log}", "--http_port=0", *flags,
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment)
        self.address = self.rpc_address = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "ServerProcess":
        self.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_ready(self, seconds: float = 60) -> None:
        if not self._ready.wait(seconds) or not self.address:
            self.process.kill()
            raise RuntimeError("the server did not become ready:\n" + "\n".join(self.log))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal where it still runs; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self, seconds: float = 60) -> int:
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            line = raw.decode(errors="replace").rstrip()
            self.log.append(line)
            if '"event": "ready"' in line:
                said = json.loads(line)
                self.address, self.rpc_address = said["address"], said.get("grpc", "")
                self._ready.set()
        self._ready.set()
