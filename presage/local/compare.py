"""What runs, held against what is rendered now, field by field: `presage verify --running`.

    for difference in compare(state): print(difference)

Three things can differ: the manifests and the plan that was applied (somebody edited and did not apply), the plan and the processes
(somebody started or changed one by hand), the plan and the proxies' routes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import psutil

from presage.errors import PlaneError
from presage.local.addresses import PodAddress
from presage.local.cluster import checked
from presage.local.invocation import Invocation, invocation
from presage.local.planning import make_plan
from presage.local.pods import Container, Pod
from presage.local.record import Plan, PlaneRecord, ProcessRecord, read_plan, read_record
from presage.local.volumes import Volumes
from presage.manifests.objects import Manifest, label
from presage.manifests.render import manifests_folder
from presage.state import State


class Difference(msgspec.Struct, frozen=True):
    """object: `Deployment models-network/incident-predictor`; field: its path; rendered, running: both values, as text (`absent` for none)."""

    object: str
    field: str
    rendered: str
    running: str

    @property
    def remedy(self) -> str:
        return "`presage apply` brings them together, or, where the plane follows a branch, `presage status` says why it does not."

    def __str__(self) -> str:
        return f"{self.object}: {self.field} is rendered as {self.rendered}, and runs as {self.running}. {self.remedy}"


def compare(state: State | None = None, manifests: Path | None = None) -> list[Difference]:
    """Every difference between the rendered overlay and the plane that runs in `state`. Raises PlaneError where none runs; changes nothing."""
    state = state or State.open()
    record, plan = read_record(state.plane), read_plan(state.plane)
    if record is None or plan is None or not record.alive:
        raise PlaneError(f"nothing runs in {state.root} that could be compared. `presage up` starts it.")
    committed = _committed(state) if manifests is None else None
    folder = Path(plan.manifests) if committed is not None else manifests or manifests_folder()
    rendered = make_plan(
        state, overlay=plan.overlay, source=plan.source, speed=plan.speed, manifests=folder, rendered=committed, say=lambda sentence: None,
        bound=plan.bindings if committed is not None else None,
    )  # fmt: skip
    return [*_between(rendered.objects, plan.objects), *_processes(state, plan, record), *routes(plan, record)]


def _committed(state: State) -> dict[str, bytes] | None:
    """What the branch that the plane follows has rendered; None where it follows none."""
    from presage.local.following import read_following
    from presage.local.following.commits import rendered_at
    from presage.release.repository import Repository

    following = read_following(state.plane)
    if following is None:
        return None
    repository = Repository(Path(following.repository), following.branch)
    return rendered_at(repository, repository.head(), following.overlay)


def _between(rendered: list[Manifest], applied: list[Manifest]) -> Iterator[Difference]:
    now = {label(found): found for found in applied}
    for manifest in rendered:
        name = label(manifest)
        if name not in now:
            yield Difference(name, "the object", "present", "absent")
        else:
            yield from _fields(name, "", manifest, now.pop(name))
    for name in now:
        yield Difference(name, "the object", "absent", "present")


def _fields(name: str, path: str, rendered: Any, running: Any) -> Iterator[Difference]:
    if isinstance(rendered, dict) and isinstance(running, dict):
        for key in sorted(rendered.keys() | running.keys()):
            yield from _fields(name, f"{path}.{key}" if path else key, rendered.get(key), running.get(key))
    elif isinstance(rendered, list) and isinstance(running, list) and len(rendered) == len(running):
        for place, (one, other) in enumerate(zip(rendered, running, strict=True)):
            yield from _fields(name, f"{path}[{place}]", one, other)
    elif rendered != running:
        yield Difference(name, path, _text(rendered), _text(running))


def _processes(state: State, plan: Plan, record: PlaneRecord) -> Iterator[Difference]:
    volumes = Volumes(state.root, plan.objects, lambda namespace, name: None, lambda pod, audience, seconds: "")
    workloads = {workload.key: workload for workload in checked(state.root, plan.objects)[0].workloads}
    running: dict[tuple[str, str], dict[str, list[ProcessRecord]]] = {}
    for process in record.processes:
        running.setdefault((process.namespace, process.workload), {}).setdefault(process.pod, []).append(process)
    for key, workload in workloads.items():
        pods = running.pop(key, {})
        name = f"{workload.kind} {key[0]}/{key[1]}"
        scaled = record.scaled.get("/".join(key))
        wanted = workload.strategy.replicas if scaled is None else scaled.replicas
        if len(pods) != wanted:
            yield Difference(name, "spec.replicas", str(wanted), str(len(pods)))
        for pod, processes in pods.items():
            yield from _pod(f"{name}, Pod {pod}", replace(workload.template, name=pod), processes, volumes, state)
    for namespace, workload_name in running:
        yield Difference(f"Deployment {namespace}/{workload_name}", "the object", "absent", "running")


def _pod(place: str, pod: Pod, processes: list[ProcessRecord], volumes: Volumes, state: State) -> Iterator[Difference]:
    by_container = {process.container: process for process in processes}
    for container in pod.containers:
        process = by_container.get(container.name)
        if process is None or process.pid is None:
            yield Difference(place, f"container {container.name}", "running", process.phase if process else "absent")
            continue
        if process.revision != pod.revision:
            yield Difference(place, "spec.template", f"revision {pod.revision}", f"revision {process.revision}")
            continue
        yield from _program(place, pod, container, process, _Reader(volumes, state.root))


@dataclass(frozen=True)
class _Reader:
    volumes: Volumes
    root: Path

    def wanted(self, pod: Pod, container: Container, process: ProcessRecord) -> Invocation | None:
        """What should run; None where a Secret is in it, which is not for comparing on a screen."""
        if any(variable.secret for variable in container.env) or any(kind == "Secret" for kind, _ in container.sources):
            return None
        return invocation(pod, container, PodAddress(process.address, process.inner), self.volumes, root=self.root, log=Path(process.log))


def _program(place: str, pod: Pod, container: Container, process: ProcessRecord, reader: _Reader) -> Iterator[Difference]:
    wanted = reader.wanted(pod, container, process)
    try:
        program = psutil.Process(process.pid or 0)
        command, environment = program.cmdline(), program.environ()
    except psutil.Error:
        yield Difference(place, f"container {container.name}", "running", "gone")
        return
    if wanted is None:
        return
    # a console script is shown by the system as its interpreter, then itself; a wrapper as the program that it became
    shown = command[-len(wanted.command) :]
    if shown[1:] != wanted.command[1:] or Path(shown[0]).name != Path(wanted.command[0]).name:
        yield Difference(place, f"container {container.name}: command and args", " ".join(wanted.command), " ".join(command))
    for variable in container.env:
        due, there = wanted.environment.get(variable.name), environment.get(variable.name)
        if due != there:
            yield Difference(place, f"container {container.name}: env {variable.name}", _text(due), _text(there))
    everywhere = psutil.net_connections("inet")
    # gRPC's core listens on its address as IPv6 writes it
    listening = {
        found.laddr.port for found in everywhere
        if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.ip.removeprefix("::ffff:") == process.inner
    }  # fmt: skip
    for port_name, port in container.ports:
        if port not in listening:
            yield Difference(place, f"container {container.name}: port {port_name}", f"{process.inner}:{port}", "nobody listens")


def routes(plan: Plan, record: PlaneRecord) -> Iterator[Difference]:
    """Weights that are routed otherwise than planned."""
    now = {route.name: route for route in record.routes}
    for manifest in plan.objects:
        if manifest["kind"] != "HTTPRoute":
            continue
        namespace, name = _key(manifest)
        rules: Any = manifest["spec"]
        weights = {backend["name"]: backend.get("weight", 1) for backend in rules["rules"][-1].get("backendRefs", [])}
        whole = sum(weights.values()) or 1
        wished = {name: round(100 * weight / whole) for name, weight in weights.items()}
        routed = dict(now[f"{namespace}/{name}"].backends) if f"{namespace}/{name}" in now else {}
        for backend, weight in wished.items():
            if routed.get(backend) != weight:
                yield Difference(label(manifest), f"weight of {backend}", str(weight), _text(routed.get(backend)))


def _key(manifest: Any) -> tuple[str, str]:
    return (str(manifest["metadata"].get("namespace", "default")), str(manifest["metadata"]["name"]))


def _text(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 120 else f"{text[:117]}…"
