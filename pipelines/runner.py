"""One run of a pipeline on this machine: its folder, its worker process, its progress, and what it comes to.

    runs/<run id>/   run.json (what was asked, how it went)   pipeline.log   lineage.ndjson (OpenLineage)   policy.yaml   view.yaml
                     artifacts/ (each step's folders)   result.json and report.html (only when it came to its end; of batch
                     scoring scored.json)

A run that is killed leaves its finished steps in the orchestrator's cache: the same command goes on from there.
"""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.failures import failure_of
from pipelines.lineage import EVENTS, Lineage
from pipelines.memory import PeakMemory
from pipelines.progress import Progress
from pipelines.request import Request, ScoringRequest, pipeline_arguments
from pipelines.result import result_document, scoring_document
from presage.errors import StateError
from presage.files import write_bytes, write_json
from presage.reports import report
from presage.state import State

LOOK = 0.25  # seconds between looks at memory and at the clock
GRACE = 5.0  # seconds for the worker's processes to end by themselves


@dataclass
class LocalRun:
    """`go()` returns the result document; raises RunFailed with the failed step's sentence, KeyboardInterrupt when stopped."""

    request: Request | ScoringRequest
    state: State
    run_id: str
    progress: Progress = field(default_factory=Progress)
    _began: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        return self.state.runs / self.run_id

    def go(self) -> dict[str, Any]:
        """Run to the end."""
        arguments = pipeline_arguments(self.request) | {
            "state": str(self.state.root), "run_id": self.run_id, "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.folder.mkdir(mode=0o700)
        print(f"{self.request.pipeline} on {arguments.get('source') or arguments['rows']}, run {self.run_id}", file=sys.stderr)
        for name in ("policy", "view"):
            if name in arguments:
                write_bytes(self.folder / f"{name}.yaml", arguments[name].encode())
        self._note("running")
        lineage = Lineage(self.folder / EVENTS, self.run_id, self.request.pipeline, arguments, self.state.cache)
        lineage.begin()
        try:
            outputs, peak = self._work(arguments, lineage)
        except BaseException as error:
            stopped, reason = isinstance(error, KeyboardInterrupt), getattr(error, "message", "")
            with suppress(StateError):  # a full disk must not hide why the run failed
                self._note("interrupted" if stopped else "failed", reason=reason)
                lineage.abort() if stopped else lineage.fail(reason or type(error).__name__)
            raise
        lineage.end()
        artifacts = {name: self._relative(place) for name, place in outputs.items()}
        about = {
            "run_id": self.run_id, "pipeline": self.request.pipeline, "status": "succeeded", "source": arguments.get("source", ""),
            "seconds": round(time.monotonic() - self._began, 2), "peak_memory_mib": round(peak, 1), "steps": self.progress.steps,
        }  # fmt: skip
        if isinstance(self.request, ScoringRequest):
            result = scoring_document(self.folder, artifacts, about)
            write_json(self.folder / "scored.json", result)
        else:
            result = result_document(self.folder, artifacts, {**about, "report": str(self.folder / "report.html")})
            write_json(self.folder / "result.json", result)
            report(self.folder)
        self._note("succeeded")
        return result

    def _note(self, status: str, reason: str = "") -> None:
        request = {name: str(value) if isinstance(value, Path) else value for name, value in vars(self.request).items()}
        write_json(self.folder / "run.json", {
            "run_id": self.run_id, "status": status, "reason": reason, "request": request, "steps": self.progress.steps,
            "noted": datetime.now(UTC).isoformat(timespec="seconds"),
        })

    def _relative(self, place: Any) -> Any:
        """Seen from the run's folder, so that a state directory can be moved; a cached step's folder lies in an earlier run's."""
        return [self._relative(one) for one in place] if isinstance(place, list) else os.path.relpath(place, self.folder)

    def _work(self, arguments: dict[str, Any], lineage: Lineage) -> tuple[dict[str, Any], float]:
        scratch = self.folder / "scratch"  # the orchestrator leaves a program file a step behind
        scratch.mkdir(mode=0o700)
        environment = {**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": str(self.request.threads), "OMP_WAIT_POLICY": "PASSIVE",
                       "POLARS_MAX_THREADS": os.environ.get("POLARS_MAX_THREADS", str(max(2, self.request.threads))), "PYTHONWARNINGS": "ignore"}
        asked = {"pipeline": self.request.pipeline, "arguments": arguments, "root": str(self.folder / "artifacts"), "cache": str(self.state.cache),
                 "log": str(self.folder / "pipeline.log")}
        worker = subprocess.Popen([sys.executable, "-m", "pipelines.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
                                  start_new_session=True)
        try:
            assert worker.stdin is not None
            worker.stdin.write(json.dumps(asked).encode() + b"\n")
            worker.stdin.flush()
            outputs, peak, disk_full = self._follow(worker, lineage)
        finally:
            _end(worker)
            self.progress.close()
            shutil.rmtree(scratch, ignore_errors=True)
        if outputs is None:
            failed = next((f"Step {step['name']}" for step in self.progress.steps if not step["succeeded"]), f"The pipeline {self.request.pipeline}")
            raise failure_of(failed, self.folder / "pipeline.log", disk_full)
        return outputs, peak

    def _follow(self, worker: subprocess.Popen[bytes], lineage: Lineage) -> tuple[dict[str, Any] | None, float, bool]:
        """Outputs by name (None where it failed), the peak memory in MiB, and whether the disk was too full for the log."""
        assert worker.stdout is not None
        memory, outputs, disk_full = PeakMemory(os.getpid()), None, False
        buffer = b""
        with selectors.DefaultSelector() as selector:
            selector.register(worker.stdout, selectors.EVENT_READ)
            while True:
                ready = selector.select(timeout=LOOK)
                memory.look()
                if not ready:
                    self.progress.tick()
                    continue
                chunk = os.read(worker.stdout.fileno(), 65536)
                if not chunk:
                    return outputs, memory.mebibytes, disk_full
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["event"] == "outputs":
                        outputs = event["artifacts"]
                    elif event["event"] == "failed":
                        disk_full = event["disk_full"]
                    else:
                        self.progress.take(event)
                        lineage.take(event)


def _end(worker: subprocess.Popen[bytes]) -> None:
    """Nothing of the worker's session goes on running."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if worker.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, number)
            with suppress(subprocess.TimeoutExpired):
                worker.wait(GRACE)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)  # steps that outlived the worker itself
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
