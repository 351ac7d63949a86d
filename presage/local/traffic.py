"""The plane's proxies, told where the Pods are: files written, and their Envoys waited for.

    traffic.replace(mesh)               other routes, access, limits
    traffic.prepare(pod, address)       a proxy that is about to start: its files, and its command
    await traffic.direct(pods)          all running ones, after which no request goes to a Pod that is not ready
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from presage.errors import PresageError
from presage.local.addresses import PodAddress
from presage.local.mesh.envoy.convergence import converge, drain
from presage.local.mesh.envoy.documents import EnvoyFiles
from presage.local.mesh.envoy.folder import write
from presage.local.mesh.envoy.gateway import gateway
from presage.local.mesh.envoy.sidecar import sidecar
from presage.local.mesh.kinds.names import Name
from presage.local.mesh.kinds.routes import Backend, RouteRule
from presage.local.mesh.pods import GatewayServer, MeshPod
from presage.local.mesh.reading import Mesh
from presage.local.pod import PodRun
from presage.local.pods import Pod
from presage.local.record import RouteRecord

IDENTITY, ACCESS_LOG = "identity", "access.log"
_DRAIN = 5.0  # seconds that callers of an ending Pod have to let go of it
Folder = Callable[[Pod, str], Path]


class Traffic:
    """folder: a Pod's own folder of that name (`proxy`, `identity`, `edge-<Secret>`). logs: where access logs go. own: a loopback address
    for one purpose, the same each time."""

    def __init__(self, folder: Folder, logs: Path, own: Callable[[str], str]) -> None:
        self._folder, self._own = folder, own
        self._logs = logs
        self._mesh: Mesh | None = None
        self._told: dict[str, EnvoyFiles] = {}
        self._pods: list[MeshPod] = []

    @property
    def members(self) -> list[MeshPod]:
        """The Pods as they were directed last."""
        return self._pods

    def replace(self, mesh: Mesh) -> None:
        """Other objects from now on; `direct` tells the proxies."""
        self._mesh = mesh

    def prepare(self, pod: Pod, address: PodAddress) -> Path:
        """Write what the proxy of `pod` reads at its start; the folder it is to run in."""
        folder = self._folder(pod, "proxy")
        files = self._files(pod, address, self._pods)
        write(folder, files)
        self._told[pod.key] = files
        return folder

    async def direct(self, runs: list[PodRun]) -> None:
        """Make every running proxy send requests to ready Pods, and to no others. Raises PresageError where one does not take it."""
        self._pods = [_member(run) for run in runs if run.pod.containers]
        changed = []
        for run in runs:
            if not run.pod.meshed or not run.proxied:
                continue
            files = self._files(run.pod, run.address, self._pods)
            if files != self._told.get(run.pod.key):
                changed.append((run.pod, files))
        for kind in ("sidecar", "gateway"):  # whoever is called knows of a change before whoever calls
            await self._converge([(pod, files) for pod, files in changed if pod.proxy == kind])

    async def _converge(self, changed: list[tuple[Pod, EnvoyFiles]]) -> None:
        done = await asyncio.gather(*(converge(self._folder(pod, "proxy"), files) for pod, files in changed), return_exceptions=True)
        failures = []
        for (pod, files), outcome in zip(changed, done, strict=True):
            if outcome is None:
                self._told[pod.key] = files
            elif isinstance(outcome, PresageError | OSError):
                failures.append(outcome)
            else:
                raise outcome
        if failures:
            raise failures[0]

    async def drain(self, pod: Pod) -> None:
        """Have callers let go of a Pod that gets no new requests any more."""
        if pod.proxy == "sidecar":
            try:
                await drain(self._folder(pod, "proxy"), _DRAIN)
            except (OSError, PresageError):
                return  # its proxy is gone already

    def forget(self, pod: Pod) -> None:
        self._told.pop(pod.key, None)

    def routes(self) -> list[RouteRecord]:
        """The routes as they are now, with the weights that requests are split by."""
        if self._mesh is None:
            return []
        effective = _effective(self._mesh, self._pods)
        return [
            RouteRecord(f"{route.name.namespace}/{route.name.name}", list(route.hostnames), _shares(rule))
            for route in effective.routes for rule in route.rules[-1:]
        ]  # fmt: skip

    def _files(self, pod: Pod, address: PodAddress, pods: list[MeshPod]) -> EnvoyFiles:
        assert self._mesh is not None
        mesh, log = self._mesh, self._logs / f"{pod.namespace}.{pod.name}.{ACCESS_LOG}"
        identity = self._folder(pod, IDENTITY)
        if pod.proxy == "gateway":
            server = GatewayServer(pod.workload.removesuffix("-istio"), pod.namespace, address.outer, address.inner)
            edge = {(secret.namespace, secret.name): self._folder(pod, f"edge-{secret.name}") for secret in self.edge(pod)}
            return gateway(_effective(mesh, pods), server, pods, certificates=identity, edge=edge, log=log)
        member = next((found for found in pods if (found.namespace, found.name) == (pod.namespace, pod.name)), None)
        called = {host: place for host, (_, place) in self.outbound(pod).items()}
        return sidecar(mesh, member or _as_member(pod, address, ready=False), pods, certificates=identity, log=log, outbound=called)

    def outbound(self, pod: Pod) -> dict[str, tuple[Name, str]]:
        """By full name, the Services of the mesh that the programs of `pod` may call: their name, and the address where its Envoy takes the
        calls. Not its own Service, and none without a proxy before its Pods: those are reached as they are."""
        if self._mesh is None or pod.proxy != "sidecar":
            return {}
        me = next((found for found in self._pods if (found.namespace, found.name) == (pod.namespace, pod.name)), None)
        if me is None:
            return {}
        found = {}
        for name, service in self._mesh.services.items():
            selected = service.selected(self._pods)
            if service.host in self._mesh.callable_from(me) and selected and selected[0].sidecar and me not in selected:
                found[service.host] = (name, self._own(f"{pod.key}/to/{service.host}"))
        return found

    def edge(self, pod: Pod) -> list[Name]:
        """The Secrets that the listeners of a gateway Pod show."""
        assert self._mesh is not None
        found = self._mesh.gateways.get(Name(pod.namespace, pod.workload.removesuffix("-istio")))
        return sorted({listener.secret for listener in found.listeners}) if found else []


def _member(run: PodRun) -> MeshPod:
    return _as_member(run.pod, run.address, run.ready)


def _as_member(pod: Pod, address: PodAddress, ready: bool) -> MeshPod:
    ports = tuple(port for container in pod.containers for port in container.ports)
    return MeshPod(pod.name, pod.namespace, pod.service_account, pod.labels, address.outer, address.inner, ports, ready, pod.proxy == "sidecar")


def _shares(rule: RouteRule) -> list[tuple[str, int]]:
    """Percent of the requests that each backend gets: weights are relative, and absent for a single backend."""
    whole = sum(backend.weight for backend in rule.backends) or 1
    return [(backend.service.name, round(100 * backend.weight / whole)) for backend in rule.backends]


def _effective(mesh: Mesh, pods: list[MeshPod]) -> Mesh:
    """A backend without a ready Pod gets no share; the first that has one takes it. So KServe's controller writes weights while a canary is not ready."""
    def ready(backend: Backend) -> bool:
        service = mesh.services.get(backend.service)
        return service is not None and any(pod.ready for pod in service.selected(pods))

    def rule(found: RouteRule) -> RouteRule:
        alive = [ready(backend) for backend in found.backends]
        if all(alive) or not any(alive):
            return found
        taker = alive.index(True)
        lost = sum(backend.weight for backend, is_ready in zip(found.backends, alive, strict=True) if not is_ready)
        shares = tuple(
            replace(backend, weight=(backend.weight + (lost if place == taker else 0)) if is_ready else 0)
            for place, (backend, is_ready) in enumerate(zip(found.backends, alive, strict=True))
        )
        return replace(found, backends=shares)

    return replace(mesh, routes=tuple(replace(route, rules=tuple(rule(found) for found in route.rules)) for route in mesh.routes))


def names_of(service: Name) -> tuple[str, ...]:
    """What a Service is called, from any namespace."""
    name = f"{service.name}.{service.namespace}"
    return name, f"{name}.svc", f"{name}.svc.cluster.local"


def addresses(mesh: Mesh, pods: list[MeshPod], gateways: Mapping[Name, str]) -> dict[str, str]:
    """What a cluster's DNS knows: names of Services whose Pods have no proxy, and the hosts that a gateway answers for."""
    found: dict[str, str] = {}
    for service in mesh.services.values():
        selected = sorted(service.selected(pods), key=lambda pod: not pod.ready)
        if selected and not selected[0].sidecar:
            for known in names_of(service.name):
                found[known] = selected[0].outer
    for route in mesh.routes:
        for parent in route.parents:
            if address := gateways.get(parent.gateway):
                found |= {host: address for host in route.hostnames if not host.startswith("*")}
    return found
