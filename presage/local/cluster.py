"""What a cluster's control plane does for Pods, on this machine: names, Secrets, certificates, proxies, releases in the object store.

    Cluster(root, changed).replace(plan)     reads a plan, strictly
    .tasks(running)                                what goes on beside the Pods
    .direct(pods)                                  traffic follows the Pods that are ready
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from presage.errors import PresageError
from presage.files import write_json
from presage.local.addresses import PodAddress, pod_address
from presage.local.authority import Authority
from presage.local.children import MARK
from presage.local.clients import Clients
from presage.local.identities import Identities
from presage.local.invocation import Invocation, hosts_of
from presage.local.invocation import check as check_pod
from presage.local.mesh.envoy.program import command
from presage.local.mesh.kinds.names import Name
from presage.local.mesh.pods import STATS_PORT
from presage.local.mesh.reading import Mesh, read_mesh
from presage.local.observe import PORT, Observer, prometheus_workload
from presage.local.pod import PROXY, PodRun, Site
from presage.local.pods import Container, Pod, Workload
from presage.local.probe import Probe
from presage.local.publishing import Publishing
from presage.local.reading import Reading, read
from presage.local.record import ClientRecord, Plan, RouteRecord
from presage.local.rollout import Strategy
from presage.local.secrets import Secrets
from presage.local.tokens import TokenIssuer
from presage.local.traffic import Traffic, addresses, names_of
from presage.local.vault import EDGE, PlaneVault
from presage.local.volumes import Volumes, swap
from presage.manifests.objects import Manifest

_PACE, _SHOWN = 0.5, 2.0  # seconds between looks at Secrets and certificates, and between looks at what volumes show of them
_PROXY_GRACE = 3.0


class Cluster:
    """One plan's surroundings."""

    def __init__(self, root: Path, changed: Callable[[], None]) -> None:
        self._root = root
        self._plane = root / "plane"
        self._changed = changed
        self.issuer = TokenIssuer.open(root / "keys" / "issuer.key")
        authority = Authority.open(self._plane / "authority")
        self._vault = PlaneVault(root, self.issuer, self._plane / "authority" / "ca.crt")
        self._secrets = Secrets(root, authority, self._vault.operator)
        self.volumes = Volumes(root, [], self._secrets.data, self._token)
        self._identities = Identities(self._vault, self._memory)
        self._traffic = Traffic(self._folder, self._plane / "logs", partial(pod_address, root))
        self._clients = Clients(root, self._vault, self.issuer)
        self._publishing = Publishing(root, self._vault)
        self._observer = Observer(self._plane / "prometheus")
        self._mesh: Mesh | None = None
        self._hosts: dict[Path, dict[str, str]] = {}
        self._edge = b""
        self._show_again = 0.0
        self.site = Site(root, self.volumes, changed, self._waits, self._proxy, self._proxy_container)

    @property
    def waiting(self) -> str:
        """What the plane itself waits for, in words."""
        return "; ".join(trouble for trouble in (self._vault.trouble, self._secrets.trouble, self._publishing.trouble) if trouble)

    def replace(self, plan: Plan) -> Reading:
        """Another plan from now on. Raises PresageError, and goes on with the one before, where it cannot be run."""
        objects = _objects(plan)
        reading, mesh = checked(self._root, objects)
        self._vault.replace(objects, Path(plan.manifests) if plan.manifests else None)
        self._secrets.replace(objects)
        self._secrets.tend(vault=False)
        self.volumes.replace(objects)
        self._publishing.replace(plan.bindings, objects)
        self._clients.replace(mesh)
        self._traffic.replace(mesh)
        self._observer.replace(objects)
        self._show_again = 0.0
        self._mesh = mesh
        return reading

    def tasks(self, running: Callable[[], list[PodRun]]) -> list[Coroutine[Any, Any, None]]:
        """What goes on beside the Pods, each until it is cancelled."""
        return [self._keep(running)]

    async def direct(self, pods: list[PodRun]) -> None:
        """Make proxies send traffic where `pods` are ready, and nowhere else; returns once they do. Raises PresageError where one does not take it."""
        await self._traffic.direct(pods)
        self._write_hosts(pods)
        self._observer.watch(pods)

    async def drain(self, pod: Pod) -> None:
        """Have callers let go of a Pod that gets no new requests."""
        await self._traffic.drain(pod)

    def forget(self, pod: Pod) -> None:
        """A Pod is gone for good."""
        self.volumes.discard(pod)
        self._traffic.forget(pod)
        self._identities.forget(pod)
        self._hosts.pop(hosts_of(self._root, pod), None)
        hosts_of(self._root, pod).unlink(missing_ok=True)

    def routes(self) -> list[RouteRecord]:
        return self._traffic.routes()

    def client(self) -> ClientRecord | None:
        return self._clients.record()

    def gateway(self, pods: list[PodRun]) -> str | None:
        """`127.x.y.z:port` of the first gateway."""
        return next((f"{pod.address.outer}:{pod.pod.gateway_ports[0]}" for pod in pods if pod.pod.proxy == "gateway" and pod.pod.gateway_ports), None)

    def prometheus(self, pods: list[PodRun]) -> str | None:
        """`127.x.y.z:port` of the plane's Prometheus, once it answers."""
        return next((f"{pod.address.outer}:{PORT}" for pod in pods if pod.pod.proxy == "prometheus" and pod.ready), None)

    @staticmethod
    def revisions(root: Path, plan: Plan) -> dict[tuple[str, str], str]:
        """The revision that each workload should have."""
        reading, _ = checked(root, _objects(plan))
        return {workload.key: workload.template.revision for workload in reading.workloads}

    async def _keep(self, running: Callable[[], list[PodRun]]) -> None:
        """Secrets, certificates, tokens and the published release, looked at again and again, each step in a thread: OpenBao may hang."""
        while True:
            before = (self.waiting, self.client())
            renewed = await asyncio.to_thread(self._tend, [pod.pod for pod in running()])
            if renewed or time.monotonic() >= self._show_again:
                self._show_again = time.monotonic() + _SHOWN
                for pod in running():
                    pod.refresh()
                    self._show_edge(pod.pod)
            if renewed or (self.waiting, self.client()) != before:  # said here and not in the thread: an event is the loop's own
                self._changed()
            await asyncio.sleep(_PACE)

    def _tend(self, pods: list[Pod]) -> bool:
        """One look at everything; whether Secrets changed."""
        asked = self._vault.attend()
        renewed = self._secrets.tend(vault=asked)
        if not asked:
            return renewed
        try:
            self._identities.tend(pods)
            authorities, _ = self._identities.trust(EDGE)
            if authorities != self._edge:  # another authority of the gateway's certificate: its Secret is made anew
                self._edge = authorities
                self._secrets.hurry()
            self._clients.tend(authorities)
        except (PresageError, OSError) as error:
            self._vault.trouble = str(error)
        self._publishing.tend()
        return renewed

    def _show_edge(self, pod: Pod) -> None:
        """What a gateway shows its clients, and whom it trusts, in files."""
        if pod.proxy != "gateway":
            return
        for name in self._traffic.edge(pod):
            data = self._secrets.data(name.namespace, name.name)
            if data is not None and self._vault.ready:
                _, lists = self._identities.trust(EDGE)
                swap(self._memory(pod, f"edge-{name.name}"), {**data, "crl.pem": lists})

    def _write_hosts(self, pods: list[PodRun]) -> None:
        if self._mesh is None:
            return
        gateways = {Name(pod.pod.namespace, pod.pod.workload.removesuffix("-istio")): pod.address.outer for pod in pods if pod.pod.proxy == "gateway"}
        found = addresses(self._mesh, self._traffic.members, gateways)
        self._write_names(self._plane / "hosts.json", found)
        for run in pods:
            pod = run.pod
            called = self._traffic.outbound(pod).values()
            own = {known: place for name, place in called for known in names_of(name)}
            own |= {name.name: place for name, place in called if name.namespace == pod.namespace}
            self._write_names(hosts_of(self._root, pod), found | own)

    def _write_names(self, file: Path, names: dict[str, str]) -> None:
        if names != self._hosts.get(file):
            file.parent.mkdir(mode=0o700, exist_ok=True)
            write_json(file, names)
            self._hosts[file] = names

    def _token(self, pod: Pod, audience: str, seconds: int) -> str:
        return self.issuer.service_account(pod.namespace, pod.service_account, [audience], seconds, pod.name)

    def _waits(self, pod: Pod) -> str | None:
        if pod.meshed and not self._identities.there(pod):
            return f"its certificate is not there yet{self._because()}"
        if pod.proxy == "gateway":
            missing = [str(name) for name in self._traffic.edge(pod) if not (self._memory(pod, f"edge-{name.name}") / "tls.crt").exists()]
            return f"Secret {', '.join(missing)} is not there yet{self._because()}" if missing else None
        return self._publishing.waits(pod)

    def _because(self) -> str:
        return f" ({self.waiting})" if self.waiting else ""

    def _proxy(self, pod: Pod, address: PodAddress) -> Invocation:
        if pod.proxy == "prometheus":
            return self._observer.invocation(address, self._root)
        folder = self._traffic.prepare(pod, address)
        log = self._plane / "logs" / f"{pod.namespace}.{pod.name}.{PROXY}.log"
        return Invocation(command(), {MARK: str(self._root.resolve())}, folder, log, _PROXY_GRACE)

    def _proxy_container(self, pod: Pod) -> Container:
        if pod.proxy == "prometheus":
            return self._observer.container()
        ready = Probe("tcpSocket", STATS_PORT, period=1)
        ports = tuple((f"gateway-{port}", port) for port in pod.gateway_ports)
        return Container(PROXY, "istio/proxyv2", (), (), (), (), (), ports, None, ready, None, None)

    def _folder(self, pod: Pod, name: str) -> Path:
        return self.volumes.own_folder(pod, name, memory=name != "proxy")

    def _memory(self, pod: Pod, name: str) -> Path:
        return self.volumes.own_folder(pod, name, memory=True)


def check(root: Path, plan: Plan) -> Reading:
    """What a plan asks for, as far as it can be told before anything starts. Raises PresageError."""
    return checked(root, _objects(plan))[0]


def checked(root: Path, objects: list[Manifest]) -> tuple[Reading, Mesh]:
    """The reading of `objects`, a gateway's Pods among its workloads, with the programs and keys that Pods name looked at too."""
    reading = read(objects)
    mesh = read_mesh(objects, reading.note, root)
    for name, gateway in mesh.gateways.items():
        ports = tuple(sorted({listener.port for listener in gateway.listeners}))
        pod = Pod(
            f"{name.name}-istio", f"{name.name}-istio", name.namespace, f"{name.name}-istio", dict(gateway.labels), "gateway", (), (), (), _PROXY_GRACE, None,
            "gateway", ports,
        )
        reading.workloads.append(Workload("Gateway", pod, Strategy("RollingUpdate", 1, 1, 0)))
    if (watching := prometheus_workload(objects, reading.note)) is not None:
        reading.workloads.append(watching)
    else:
        for scaling in reading.scalings:
            reading.note("ScaledObjects: no Prometheus tells the load here, so replicas stay at the least", f"{scaling.namespace}/{scaling.workload}")
        reading.scalings.clear()
    volumes = Volumes(root, objects, _nothing, lambda pod, audience, seconds: "")
    for found in (*(workload.pod(0) for workload in reading.workloads), *(one.template for one in reading.periodic)):
        check_pod(found, volumes)
    return reading, mesh


def _objects(plan: Plan) -> list[Manifest]:
    return [dict(found) for found in plan.objects]


def _nothing(namespace: str, name: str) -> Mapping[str, bytes] | None:
    return None
