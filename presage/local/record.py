"""`plane/plane.json`: what the supervisor says about itself and its processes, written whole each time something changes.

Ages and memory are not in it: `presage status` asks the system when it is asked itself.
"""

import os
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import psutil

from presage.errors import StateError
from presage.files import canonical_json, read_json, sha256_bytes, write_json

Phase = Literal["waiting", "initializing", "starting", "running", "backing-off", "done", "stopping", "stopped"]


class ProcessRecord(msgspec.Struct):
    """One container. address: the Pod's, inner: where its programs listen (the same without a mesh). revision: of the template it was made of.

    started, created: Unix seconds of the present process, by our clock and by the system's. message: what it waits for, or what its
    readiness probe complains of. ended: how its last process ended, with the last line it wrote. failures: how often in a row it ended
    without having become ready.
    """

    name: str
    pod: str
    namespace: str
    workload: str
    container: str
    address: str
    inner: str
    revision: str
    ports: dict[str, int]
    log: str
    initializes: bool = False
    serves: str | None = None
    release: str | None = None
    phase: Phase = "waiting"
    ready: bool = False
    pid: int | None = None
    started: float | None = None
    created: float = 0.0
    restarts: int = 0
    failures: int = 0
    message: str = ""
    ended: str = ""


class Plan(msgspec.Struct):
    """What the supervisor is to run: core objects, as `kubectl apply` would have put them into a cluster.

    bindings: release names that the manifests leave to this machine, and what they stand for now. overrides: what the command
    line changed in memory, in words; source, speed: what it said, for the next rendering.
    manifests: the folder it was rendered from; vault: digest of the Vault configuration there.
    """

    overlay: str
    objects: list[dict[str, object]]
    bindings: dict[str, str] = {}
    overrides: list[str] = []
    source: str | None = None
    speed: float | None = None
    manifests: str = ""
    vault: str = ""


class RouteRecord(msgspec.Struct):
    """A route as the gateway has it. hosts: names it answers for; backends: (name, weight) as routed, not as wished."""

    name: str
    hosts: list[str]
    backends: list[tuple[str, int]]


class ClientRecord(msgspec.Struct):
    """Files by which this machine's own commands call the gateway: certificate, key, CA of the gateway, token."""

    certificate: str
    key: str
    ca: str
    token: str


class JobRecord(msgspec.Struct):
    """The last run of a CronJob. started: Unix seconds; ended: how its program did."""

    started: float
    seconds: float
    succeeded: bool
    ended: str


class ScaleRecord(msgspec.Struct, frozen=True):
    """A Deployment that is scaled: the replicas that are wanted now, within which bounds, and why."""

    replicas: int
    least: int
    most: int
    because: str


class PlaneRecord(msgspec.Struct):
    """The whole plane. supervisor: its process id; created: that process's start time, so that a reused id is told apart.

    digest: of the plan that is wanted; settled: whether everything runs as it says. trouble: why a newer plan could not be taken.
    gateway: `127.x.y.z:port` of the gateway, if there is one.
    """

    overlay: str
    supervisor: int
    created: float
    phase: Literal["running", "stopping"]
    bindings: dict[str, str]
    overrides: list[str]
    not_honoured: dict[str, list[str]]
    digest: str
    processes: list[ProcessRecord]
    settled: bool = False
    trouble: str = ""
    waiting: str = ""
    routes: list[RouteRecord] = []
    gateway: str | None = None
    client: ClientRecord | None = None
    jobs: dict[str, JobRecord] = {}
    scaled: dict[str, ScaleRecord] = {}

    @property
    def alive(self) -> bool:
        """Whether that supervisor still runs."""
        try:
            process = psutil.Process(self.supervisor)
            same: bool = abs(process.create_time() - self.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
        return same

    @property
    def ready(self) -> bool:
        """Whether every Pod that is to run does, is of the plan's revision, and is ready."""
        return self.settled and bool(self.processes) and all(process.ready for process in self.processes if not process.initializes)


def digest_of(plan: Plan) -> str:
    """One plan, one digest, read back from its file or not: a second `up` with the same one has nothing to do."""
    return sha256_bytes(canonical_json(msgspec.to_builtins(msgspec.convert(msgspec.to_builtins(plan), Plan))))


def plan_path(plane: Path) -> Path:
    return plane / "plan.json"


def supervisor_lock(plane: Path) -> Path:
    """Held by the supervisor as long as it lives."""
    return plane / "supervisor.lock"


def record_path(plane: Path) -> Path:
    return plane / "plane.json"


def read_record(plane: Path) -> PlaneRecord | None:
    """The record in `plane`, None where no supervisor ever wrote one, or the last one left in order. Raises StateError where it is damaged."""
    return _read(record_path(plane), PlaneRecord, "`presage down` ends what runs there and removes it.")


def read_plan(plane: Path) -> Plan | None:
    """The plan in `plane`, None where there is none. Raises StateError where it is damaged."""
    return _read(plan_path(plane), Plan, "`presage up` writes it anew.")


_Document = TypeVar("_Document", Plan, PlaneRecord)


def _read(path: Path, kind: type[_Document], remedy: str) -> _Document | None:
    try:
        return msgspec.convert(read_json(path), kind)
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise StateError(f"{path} is damaged ({error}). {remedy}") from None


def write_record(plane: Path, record: PlaneRecord) -> None:
    write_json(record_path(plane), msgspec.to_builtins(record))


def this_process() -> tuple[int, float]:
    """Id and start time of this process."""
    return os.getpid(), psutil.Process().create_time()
