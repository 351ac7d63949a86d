"""`presage.status()`: what runs in a state directory, where, since when."""

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from presage.local.container import resident_bytes
from presage.local.record import PlaneRecord, ProcessRecord, read_record
from presage.state import State


class ProcessStatus(msgspec.Struct, frozen=True):
    """One container. name: what `presage logs` takes. serves: the InferenceService behind it. address: `127.x.y.z[:port]`.

    release: what its Pod was told to load. phase: waiting, initializing, starting, running, backing-off, done, stopping or stopped.
    message: what its readiness probe complains of. ended: how its last process ended.
    """

    name: str
    pod: str
    container: str
    serves: str | None
    ready: bool
    restarts: int
    age_seconds: float | None
    rss_mib: float | None
    address: str
    release: str | None
    phase: str
    message: str
    ended: str


class Backend(msgspec.Struct, frozen=True):
    name: str
    weight: int


class Route(msgspec.Struct, frozen=True):
    name: str
    backends: list[Backend]


class Endpoints(msgspec.Struct, frozen=True):
    """URLs; None where there is none."""

    rest: str | None = None
    grpc: str | None = None
    gateway: str | None = None
    metrics: str | None = None
    console: str | None = None


class Client(msgspec.Struct, frozen=True):
    """Files a client of the gateway needs: for mutual TLS, and the token it shows; None without a mesh."""

    certificate: str | None = None
    key: str | None = None
    ca: str | None = None
    token: str | None = None


class FollowedApplication(msgspec.Struct, frozen=True):
    """state: Synced, OutOfSync (about to be applied), Refused (by an admission policy), Failed (cannot be run) or Degraded (applied, and does not come up);
    message: why. wanted, applied: commits. since: of this state, UTC."""

    name: str
    state: str
    wanted: str
    applied: str
    message: str
    since: str


class Followed(msgspec.Struct, frozen=True):
    """The branch that the plane follows, and the commit it is at. message: why the commit as a whole cannot be taken.

    healed: how often it put back what somebody else had changed; last_healed: what that was."""

    repository: str
    branch: str
    commit: str
    message: str
    healed: int
    last_healed: str
    applications: list[FollowedApplication]


class Status(msgspec.Struct, frozen=True):
    """The plane of one state directory. overlay is None where nothing runs.

    bindings: release names left to this machine and what they stand for. overrides: what the command line changed. trouble: why a newer
    plan was not taken, or what the plane itself waits for.
    not_honoured: what the manifests ask that plain processes cannot be held to, with who asks it.
    scaled: Deployments whose replicas follow the load → how many, of how many, and why, in words.
    """

    overlay: str | None
    state: str
    ready: bool
    processes: list[ProcessStatus]
    routes: list[Route]
    endpoints: Endpoints
    client: Client
    bindings: dict[str, str]
    overrides: list[str]
    not_honoured: dict[str, list[str]]
    trouble: str = ""
    following: Followed | None = None
    scaled: dict[str, str] = {}

    @property
    def running(self) -> bool:
        return self.overlay is not None

    def process(self, name: str) -> ProcessStatus | None:
        """The process of that name; a workload's name is that of its newest Pod's first container."""
        exact = [process for process in self.processes if process.name == name]
        of_workload = [process for process in self.processes if process.name == process.pod and process.pod.rpartition("-")[0] == name]
        return next(iter(exact or of_workload[::-1]), None)


def status(state: State | None = None) -> Status:
    """What runs in `state` (default: the usual state directory). A plane whose supervisor died counts as not running."""
    state = state or State.open()
    record = read_record(state.plane)
    if record is None or not record.alive:
        return Status(None, str(state.root), False, [], [], Endpoints(), Client(), {}, [], {})
    routes = [Route(route.name, [Backend(name, weight) for name, weight in route.backends]) for route in record.routes]
    client = Client(record.client.certificate, record.client.key, record.client.ca, record.client.token) if record.client else Client()
    return Status(
        record.overlay, str(state.root), record.ready, [_process(process) for process in record.processes], routes, _endpoints(record), client,
        record.bindings, record.overrides, record.not_honoured, record.trouble or record.waiting,
        _followed(state), {name: f"{one.replicas} of {one.least} to {one.most} replicas; {one.because}" for name, one in record.scaled.items()},
    )


_LISTED = ("name", "pod", "container", "serves", "ready", "restarts", "age_seconds", "rss_mib", "address", "release")
_CLIENT = ("certificate", "key", "ca")


def status_document(plane: Status) -> dict[str, Any]:
    """The document that `presage status -o json` prints (docs/schemas/status.json)."""
    whole = msgspec.to_builtins(plane)
    processes = [{name: process[name] for name in _LISTED} for process in whole["processes"]]
    return {name: whole[name] for name in ("overlay", "state", "processes", "routes", "endpoints", "client", "following")} | {
        "processes": processes, "client": {name: whole["client"][name] for name in _CLIENT},
    }  # fmt: skip


def _followed(state: State) -> Followed | None:
    from presage.local.following.record import read_following

    found = read_following(state.plane)
    if found is None:
        return None
    applications = [
        FollowedApplication(one.name, one.state, one.wanted, one.applied, one.message, f"{datetime.fromtimestamp(one.since, UTC):%Y-%m-%dT%H:%M:%SZ}")
        for one in found.applications
    ]  # fmt: skip
    return Followed(found.repository, found.branch, found.commit, found.message, found.healed, found.last_healed, applications)


def _process(record: ProcessRecord) -> ProcessStatus:
    port = next(iter(record.ports.values()), None)
    return ProcessStatus(
        name=record.name, pod=record.pod, container=record.container, serves=record.serves, ready=record.ready, restarts=record.restarts,
        age_seconds=None if record.started is None else round(time.time() - record.started, 1),
        rss_mib=None if record.pid is None else round(resident_bytes(record.pid) / 2**20, 1),
        address=record.address if port is None else f"{record.address}:{port}",
        release=record.release, phase=record.phase, message=record.message, ended=record.ended,
    )


def _endpoints(record: PlaneRecord) -> Endpoints:
    """Through the gateway where there is one; else those of the first container that serves a model and is ready, named by its ports."""
    serving = next((process for process in record.processes if process.serves and process.ready and process.ports), None)
    if serving is None:
        return Endpoints()
    metrics = f"http://{serving.inner}:{serving.ports.get('metrics', next(iter(serving.ports.values())))}/metrics"
    grpc = next((port for name, port in serving.ports.items() if "grpc" in name or "h2c" in name), None)
    if record.gateway is not None:
        host = next((route.hosts[0] for route in record.routes if route.name.endswith(f"/{serving.serves}") and route.hosts), None)
        door = f"{host}:{record.gateway.rpartition(':')[2]}" if host else None
        rest = f"https://{door}" if door else None
        return Endpoints(rest=rest, grpc=door if grpc else None, gateway=f"https://{record.gateway}", metrics=metrics)
    first = next(iter(serving.ports.values()))
    return Endpoints(rest=f"http://{serving.address}:{first}", grpc=f"{serving.address}:{grpc}" if grpc else None, metrics=metrics)
