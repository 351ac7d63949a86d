"""`python -m inference.journal.replica` as the process it is, to be killed and started again: for the benchmark and the tests."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


class Replica:
    """address: where it listens, the same after a restart; url: of the event log that it keeps.

    with Replica(folder) as replica:
        open_event_log(replica.url, "predictions")
    """

    def __init__(self, folder: Path, listen: str = "127.0.0.1:0", prefix: tuple[str, ...] = ()) -> None:
        self.folder, self.address, self._prefix = folder, listen, prefix
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> "Replica":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"process:{self.address}"

    def start(self) -> None:
        """Returns once it listens."""
        command = [*self._prefix, sys.executable, "-m", "inference.journal.replica", "--folder", str(self.folder), "--listen", self.address]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env={**os.environ, "PRESAGE_KAFKA_BOOTSTRAP": ""})
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line.decode())
            if b'"ready"' in line:
                self.address = json.loads(line)["address"]
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return
        raise RuntimeError(f"the replica did not start: {lines}")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        self.wait()

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(30)
