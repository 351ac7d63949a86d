"""Starting and stopping a plane.

    up(source="simulated:servers=6")     # returns the status once everything is ready
    down()                               # returns how many processes ran
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from presage.errors import PlaneError, StateError, UsageError
from presage.files import write_json
from presage.local.children import end_marked, marked
from presage.local.holds import held, holder
from presage.local.overrides import override, source_of
from presage.local.overview import Status, status
from presage.local.reading import read_pods
from presage.local.record import Plan, PlaneRecord, digest_of, plan_path, read_record, record_path, supervisor_lock
from presage.local.releases import bind, local_names, local_uri, trained_release, training_source
from presage.local.volumes import free_memory
from presage.manifests.expand import expand
from presage.manifests.objects import Manifest, parse_objects
from presage.manifests.render import manifests_folder, render_overlay
from presage.state import State

PATIENCE = 180.0  # seconds until everything must be ready
GRACE = 60.0  # seconds for a supervisor to end: as long as the slowest Pod may take, and a little
LEAST_ROOM = 64 * 2**10  # bytes
_HOPELESS = 3  # failures in a row, after which `up` gives up
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
    say: Say = lambda sentence: None,
) -> Status:
    """Run an overlay on this machine; returns once every container is ready. Trains first where the overlay wants a local release and there is none.

    detach: the plane outlives this process; otherwise it ends with it. source, speed: of the telemetry, in place of the manifest's.
    retrain: train even if there is a release. manifests: the folder that holds overlays/ (default: the repository's). say: hears progress.
    A plane already running the same is left as it is; one running something else is replaced.
    Raises PlaneError with the failing container's own last words, UsageError, InputError; nothing is left running then.
    """
    state = state or State.open()
    with held(state.plane / "command.lock", f"another `presage up` or `presage down` is at work in {state.root}. Wait for it, or name another --state."):
        plan = make_plan(state, overlay=overlay, source=source, speed=speed, retrain=retrain, manifests=manifests or manifests_folder(), say=say)
        running = _undamaged_record(state)
        if running is not None and running.alive and running.phase == "running":
            if running.digest == digest_of(plan):
                say("already running")
                return _wait_until_ready(state, None, say)
            say("stopping what ran before")
        _stop(state)
        return _start(state, plan, detach, say)


def down(state: State | None = None) -> int:
    """Stop the plane of `state` and whatever it left; how many of its processes ran. Raises PlaneError if something would not end."""
    state = state or State.open()
    with held(state.plane / "command.lock", f"another `presage up` or `presage down` is at work in {state.root}. Wait for it, or name another --state."):
        return _stop(state)


def make_plan(
    state: State, *, overlay: str, source: str | None = None, speed: float | None = None, retrain: bool = False, manifests: Path, say: Say,
) -> Plan:
    """What is to run: the overlay rendered, the command line laid over it, local releases bound (trained if need be), all of it expanded."""
    if speed is not None and not 0 < speed <= 100_000:
        raise UsageError(f"--speed {speed:g} is no speed. Write how many times real time, 1 to 100000.")
    rendered = render_overlay(manifests, overlay)
    objects = [found for application, text in rendered.items() for found in parse_objects(text, f"overlays/{overlay}/{application}")]
    if source is not None:
        _require_live(source)
    objects, said = override(objects, source, speed)
    stream = source_of(objects)
    bindings = {}
    for name in local_names(objects):
        if stream is None:
            raise PlaneError(f"overlay {overlay} wants {local_uri(name)} and streams no telemetry that tells what to train on. Name a release by its digest.")
        trained_on = training_source(stream)
        bindings[local_uri(name)] = _release(state, name, trained_on, retrain, say)
        if trained_on != stream:
            said.append(f"{name}: --source={stream} has no labelled incidents, so its model was trained on {trained_on}")
    expanded = expand(bind(objects, bindings))
    read_pods(expanded)
    return Plan(overlay, _as_plain(expanded), bindings, said)


def _as_plain(objects: list[Manifest]) -> list[dict[str, object]]:
    return [dict(found) for found in objects]


def _require_live(source: str) -> None:
    from presage.telemetry.sources import live_source

    live_source(source)


def _release(state: State, name: str, source: str, retrain: bool, say: Say) -> str:
    """The release to serve under the local name: the last one trained on such telemetry, else one trained now."""
    found = None if retrain else trained_release(state, name, source)
    if found is None:
        from presage.runs import run

        say(f"training on {source}: there is no release of {name} for it here yet" if not retrain else f"training on {source}")
        run(f"{name}-training", source=source, state=state)
        found = trained_release(state, name, source)
        if found is None:
            raise PlaneError(f"the run on {source} made no release of {name}. `presage report last` shows what it found.")
    return str(found)


def _start(state: State, plan: Plan, detach: bool, say: Say) -> Status:
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
        return _wait_until_ready(state, supervisor, say)
    except BaseException:
        _stop(state, supervisor.pid)
        supervisor.wait()
        raise


def _wait_until_ready(state: State, supervisor: "subprocess.Popen[bytes] | None", say: Say) -> Status:
    """Poll the record until every container is ready. Raises PlaneError where that will not happen."""
    until = time.monotonic() + PATIENCE
    heard: set[str] = set()
    while time.monotonic() < until:
        if supervisor is not None and supervisor.poll() is not None:
            raise PlaneError(_last_line(state.plane / "logs" / "supervisor.log") or f"the supervisor ended with exit code {supervisor.returncode}.")
        record = read_record(state.plane)
        if record is not None and (supervisor is None or record.supervisor == supervisor.pid):
            if record.ready:
                return status(state)
            _raise_if_hopeless(record)
            require_room(state.root, shutil.disk_usage(state.root).free)
            for process in record.processes:
                news = f"{process.name}: {'ready' if process.ready and not process.initializes else process.phase}"
                if process.phase != "waiting" and news not in heard:
                    heard.add(news)
                    say(news)
        time.sleep(0.05)
    waiting = [f"{process.name} ({process.message or process.ended or process.phase})" for process in (record.processes if record else []) if not process.ready]
    raise PlaneError(f"not ready after {PATIENCE:.0f} s: {', '.join(waiting)}. `presage logs NAME` shows what each wrote.")


def require_room(root: Path, free: int) -> None:
    """Raise StateError where `free` bytes are too few to go on starting: on a full disk the record of what runs goes stale."""
    if free < LEAST_ROOM:
        raise StateError(f"{root}: no space left on the device ({free} bytes are free). Free some space and run `presage up` again.")


def _raise_if_hopeless(record: PlaneRecord) -> None:
    for process in record.processes:
        if process.failures >= (1 if process.initializes else _HOPELESS):
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
