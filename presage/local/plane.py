"""Starting, changing and stopping a plane.

    up(source="simulated:servers=6")     # returns the status once everything is ready
    apply()                              # renders again, and moves what runs to it without dropping a request
    down()                               # returns how many processes ran
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from presage.errors import PlaneError, StateError
from presage.files import write_json
from presage.local.children import end_marked, marked
from presage.local.cluster import Cluster
from presage.local.following.begin import stop_following
from presage.local.following.record import following_path, read_following
from presage.local.holds import held, holder
from presage.local.overview import Status, status
from presage.local.planning import make_plan
from presage.local.pod import HOPELESS
from presage.local.record import Plan, PlaneRecord, digest_of, plan_path, read_plan, read_record, record_path, supervisor_lock
from presage.local.volumes import free_memory
from presage.manifests.render import manifests_folder
from presage.state import State

PATIENCE = 180.0  # seconds until everything must be ready
GRACE = 90.0  # seconds for a supervisor to end: as long as the slowest Pods may take, one after the other, and a little
LEAST_ROOM = 64 * 2**10  # bytes
Say = Callable[[str], None]


def up(
    *,
    detach: bool = True,
    overlay: str = "local",
    source: str | None = None,
    speed: float | None = None,
    retrain: bool = False,
    state: State | None = None,
    manifests: Path | None = None,
    follow: str | None = None,
    repository: Path | None = None,
    say: Say = lambda sentence: None,
) -> Status:
    """Run an overlay on this machine; returns once everything is ready. Trains first where the overlay wants a local release and there is none.

    detach: the plane outlives this process; otherwise it ends with it. source, speed: of the telemetry, in place of the manifest's.
    retrain: train even if there is a release. manifests: the folder that holds overlays/ (default: the repository's). say: hears progress.
    follow: a branch of `repository` (default: the manifests' own): what runs is what its newest commit has rendered, and stays so (presage.local.following).
    A plane already running is moved to what is asked, as `apply` does; Pods whose program was killed are taken over as they run.
    Raises PlaneError with the failing container's own last words, UsageError, InputError; a plane that was started for this is stopped then.
    """
    state = state or State.open()
    if follow is not None:
        from presage.local.following import begin

        with _at_work(state):
            begun = begin(state, repository or manifests_folder().parent, follow, overlay)
            for sentence in begun.said:
                say(sentence)
            plan = make_plan(
                state, overlay=overlay, source=source, speed=speed, retrain=retrain, manifests=begun.manifests, rendered=begun.rendered, say=say
            )  # fmt: skip
            begun.go_on(plan)  # before anything runs: whatever kills this command, the supervisor goes on with the branch
            if (running := _running(state)) is not None:
                return _converge(state, running, plan, say, follows=True)
            try:
                return _start(state, plan, detach, say, follows=True)
            except BaseException:
                stop_following(state)
                raise
    with _at_work(state):
        plan = make_plan(state, overlay=overlay, source=source, speed=speed, retrain=retrain, manifests=manifests or manifests_folder(), say=say)
        if branch := stop_following(state):
            say(f"{branch} is not followed any more")
        if (running := _running(state)) is not None:
            return _converge(state, running, plan, say)
        return _start(state, plan, detach, say)


def apply(*, state: State | None = None, manifests: Path | None = None, say: Say = lambda sentence: None) -> Status:
    """Render the running overlay again and move the plane to it: rolling updates, changed routes, access and settings, without dropping a request.

    Returns once it is there. Raises PlaneError where nothing runs, or where what is new does not come up: what ran before then goes on serving.
    """
    state = state or State.open()
    with _at_work(state):
        running, before = _running(state), read_plan(state.plane)
        if running is None or before is None:
            raise PlaneError(f"nothing runs in {state.root} that could be moved. `presage up` starts it.")
        if (following := read_following(state.plane)) is not None:
            say(f"this plane follows {following.branch}: what its newest commit does not hold is put back")
        plan = make_plan(state, overlay=before.overlay, source=before.source, speed=before.speed, manifests=manifests or manifests_folder(), say=say)
        return _converge(state, running, plan, say)


def down(state: State | None = None) -> int:
    """Stop the plane of `state` and whatever it left; how many of its processes ran. Raises PlaneError if something would not end."""
    state = state or State.open()
    with _at_work(state):
        stop_following(state)
        return _stop(state)


@contextmanager
def _at_work(state: State) -> Iterator[None]:
    sentence = f"another `presage up`, `apply` or `down` is at work in {state.root}. Wait for it, or name another --state."
    with held(state.plane / "command.lock", sentence):
        yield


def _running(state: State) -> PlaneRecord | None:
    record = _undamaged_record(state)
    return record if record is not None and record.alive and record.phase == "running" else None


def _converge(state: State, running: PlaneRecord, plan: Plan, say: Say, *, follows: bool = False) -> Status:
    if running.digest == digest_of(plan):
        say("already running")
    else:
        write_json(plan_path(state.plane), msgspec.to_builtins(plan))
    return _wait_until_ready(state, plan, None, say, follows=follows)


def _start(state: State, plan: Plan, detach: bool, say: Say, *, follows: bool = False) -> Status:
    if _undamaged_record(state) is None:
        record_path(state.plane).unlink(missing_ok=True)
    write_json(plan_path(state.plane), msgspec.to_builtins(plan))
    log = state.plane / "logs" / "supervisor.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-m", "presage.local.supervisor", "--state", str(state.root)]
    if not detach:
        command += ["--attached", str(os.getpid())]
    with log.open("wb") as output:
        log.chmod(0o600)
        supervisor = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    try:
        return _wait_until_ready(state, plan, supervisor, say, follows=follows)
    except BaseException:
        _stop(state, supervisor.pid)
        supervisor.wait()
        raise


def _wait_until_ready(state: State, plan: Plan, supervisor: "subprocess.Popen[bytes] | None", say: Say, *, follows: bool = False) -> Status:
    """Poll the record until everything is as the plan says. Raises PlaneError where that will not happen.

    follows: where somebody writes another plan meanwhile, that one is waited for; else it is an error.
    """
    until = time.monotonic() + PATIENCE
    wanted = digest_of(plan)
    revisions = Cluster.revisions(state.root, plan)
    heard: set[str] = set()
    replaced = _Replaced(state, wanted)
    while time.monotonic() < until:
        if supervisor is not None and supervisor.poll() is not None:
            raise PlaneError(_last_line(state.plane / "logs" / "supervisor.log") or f"the supervisor ended with exit code {supervisor.returncode}.")
        if (other := replaced.look()) is not None:
            if not follows:
                raise PlaneError("the plan was put back: this plane follows a branch. Commit the change there, or end it (`presage up` without --follow).")
            wanted, revisions = replaced.wanted, Cluster.revisions(state.root, other)
        record = read_record(state.plane)
        if supervisor is None and (record is None or not record.alive):
            raise PlaneError(f"the plane's program ended: {_last_line(state.plane / 'logs' / 'supervisor.log')}. `presage up` starts it again.")
        if record is not None and (supervisor is None or record.supervisor == supervisor.pid):
            if record.digest == wanted and record.ready:
                return status(state)
            if record.digest == wanted:
                _raise_if_hopeless(record, revisions)
            elif record.trouble:
                raise PlaneError(record.trouble)
            require_room(state.root, shutil.disk_usage(state.root).free)
            for process in record.processes:
                news = f"{process.name}: {'ready' if process.ready and not process.initializes else process.phase}"
                if process.phase != "waiting" and news not in heard:
                    heard.add(news)
                    say(news)
        time.sleep(0.05)
    processes = record.processes if record else []
    waiting = [f"{process.name} ({process.message or process.ended or process.phase})" for process in processes if not process.ready]
    if record is not None and record.waiting:
        waiting.append(record.waiting)
    raise PlaneError(f"not ready after {PATIENCE:.0f} s: {', '.join(waiting)}. `presage logs NAME` shows what each wrote.")


@dataclass
class _Replaced:
    """wanted: digest of the plan that is waited for."""

    state: State
    wanted: str
    _seen: int = 0

    def look(self) -> Plan | None:
        """The plan that somebody has written in its place since the last look, where a branch is followed; it is what is wanted then."""
        if not following_path(self.state.plane).is_file() or (now := plan_path(self.state.plane).stat().st_mtime_ns) == self._seen:
            return None
        self._seen = now
        found = read_plan(self.state.plane)
        if found is None or (digest := digest_of(found)) == self.wanted:
            return None
        self.wanted = digest
        return found


def require_room(root: Path, free: int) -> None:
    """Raise StateError where `free` bytes are too few to go on starting: on a full disk the record of what runs goes stale."""
    if free < LEAST_ROOM:
        raise StateError(f"{root}: no space left on the device ({free} bytes are free). Free some space and run `presage up` again.")


def _raise_if_hopeless(record: PlaneRecord, revisions: Mapping[tuple[str, str], str]) -> None:
    """revisions: what each workload is to become; Pods of another one are on their way out, however they fare."""
    for process in record.processes:
        if revisions.get((process.namespace, process.workload)) != process.revision:
            continue
        final = process.initializes and process.ended.startswith("exit code 1: refused")  # a refusal is no accident: it would be one again
        if process.failures >= (1 if final else HOPELESS) and not process.ready:
            raise PlaneError(f"{process.name} does not come up: {process.ended.removesuffix('.')}. `presage logs {process.name}` shows all it wrote.")


def _stop(state: State, supervisor: int | None = None) -> int:
    """End the supervisor (it stops its Pods with their grace), then make sure nothing of the plane is left."""
    record = _undamaged_record(state)
    count = 0
    if record is not None and record.alive:
        count = sum(1 for process in record.processes if process.pid is not None)
        supervisor = record.supervisor
    supervisor = supervisor or holder(supervisor_lock(state.plane))
    if supervisor is not None and psutil.pid_exists(supervisor):
        _end(supervisor)
    count += end_marked(state.root)
    if left := list(marked(state.root)):
        named = ", ".join(f"{process.pid} ({process.name()})" for process in left)
        raise PlaneError(f"these processes of the plane would not end: {named}. Stop them by hand.")
    free_memory(state.root)
    record_path(state.plane).unlink(missing_ok=True)
    return count


def _undamaged_record(state: State) -> PlaneRecord | None:
    """To `up` and `down` a damaged record is none: they find the supervisor by its lock, and its processes by their mark."""
    try:
        return read_record(state.plane)
    except StateError:
        return None


def _end(supervisor: int) -> None:
    try:
        process = psutil.Process(supervisor)
        process.send_signal(signal.SIGTERM)
        process.wait(GRACE)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(5)
    except psutil.NoSuchProcess:
        return


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()] if path.is_file() else []
    return lines[-1] if lines else ""
