"""A small mesh of the tests: real Envoys before real programs, a client outside with certificates of its choice."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mesh_backends import Backend, Backends
from mesh_certificates import Authority, Identity, write_trust
from mesh_load import Load
from mesh_objects import HOST, INCIDENT

from presage.local.mesh import EnvoyFiles, GatewayServer, Mesh, MeshPod, command, converge, gateway, read_mesh, sidecar, spiffe_id, taken, write

T = TypeVar("T")
CLIENT = "spiffe://cluster.local/ns/clients/sa/console"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


class Refused(Exception):
    """The connection was ended without an answer."""


@dataclass
class Member:
    """A Pod with its Envoy and the programs behind it."""

    pod: MeshPod
    folder: Path
    certificates: Path
    programs: dict[int, Backend]
    outbound: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.folder / "access.log"


class Site:
    """Namespace models-network and a Gateway `presage`; `apply` does what the plane does when manifests change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mesh_authority, self.edge_authority = Authority("mesh"), Authority("edge")
        self.backends = Backends()
        self.members: dict[str, Member] = {}
        self.notes: list[tuple[str, str]] = []
        self.objects: list[dict] = []
        self.mesh: Mesh | None = None
        self.server = GatewayServer("presage", "gateway", self.address("gateway"), self.address("gateway inner"))
        self.gateway_folder, self.edge, self.gateway_certificates = root / "gateway", root / "edge", root / "gateway-certificates"
        self.envoys: dict[Path, subprocess.Popen[bytes]] = {}
        self.secrets = {("gateway", "gateway-tls"): self.edge}
        self.edge_authority.issue(dns="*.presage.local").write(self.edge)
        write_trust(self.edge, self.edge_authority)
        self.mesh_authority.issue(uri=self.server.identity).write(self.gateway_certificates)
        write_trust(self.gateway_certificates, self.mesh_authority)
        self.client = self.edge_authority.issue(uri=CLIENT)
        self._identities = 0

    def address(self, name: str) -> str:
        digest = hashlib.sha256(f"{self.root}{name}".encode()).digest()
        return f"127.{128 + digest[0] % 120}.{digest[1]}.{1 + digest[2] % 254}"

    # What runs

    def pod(
        self, name: str = "incident-0", labels: dict[str, str] = INCIDENT, account: str = "incident", *, ready: bool = True, sidecar: bool = True,
        ports: tuple[tuple[str, int], ...] = (("http", 8080), ("metrics", 9090)), outbound: tuple[str, ...] = (),
    ) -> Member:
        """A Pod whose programs answer at each of its ports with the Pod's name; its Envoy starts with the next `apply`."""
        outer = self.address(name)
        inner = self.address(f"{name} inner") if sidecar else outer
        pod = MeshPod(name, "models-network", account, labels, outer, inner, ports, ready, sidecar)
        folder, certificates = self.root / name, self.root / f"{name}-certificates"
        folder.mkdir(exist_ok=True)
        self.mesh_authority.issue(uri=pod.identity).write(certificates)
        write_trust(certificates, self.mesh_authority)
        member = Member(pod, folder, certificates, {port: self.backends.add(name, inner, port) for _, port in ports})
        member.outbound = {host: self.address(f"{name} to {host}") for host in outbound}
        self.members[name] = member
        return member

    def ready(self, name: str, ready: bool = True) -> None:
        member = self.members[name]
        member.pod = MeshPod(**{**member.pod.__dict__, "ready": ready})

    def apply(self, *objects: dict, patience: float = 10.0) -> None:
        """Bring every Envoy to what the objects (by default those of the last time) and the Pods say."""
        asyncio.run(self._apply(objects or tuple(self.objects), patience))

    async def _apply(self, objects, patience: float) -> None:
        self.mesh = read_mesh(objects, lambda text, who: self.notes.append((text, who)), self.root)
        self.objects = list(objects)
        # Servers before callers: whoever is newly called must be there.
        for member in self.members.values():
            if member.pod.sidecar:
                await self._bring(member.folder, self.files(member.pod.name), patience)
        if self.mesh.gateways:
            await self._bring(self.gateway_folder, self.gateway_files(), patience)

    async def _bring(self, folder: Path, files: EnvoyFiles, patience: float) -> None:
        if folder in self.envoys:
            await converge(folder, files, patience)
        else:
            write(folder, files)
            self.envoys[folder] = subprocess.Popen(command(), cwd=folder, stdin=subprocess.DEVNULL)
            await taken(folder, files, patience)

    def files(self, name: str) -> EnvoyFiles:
        member = self.members[name]
        return sidecar(self.mesh, member.pod, self.pods, certificates=member.certificates, log=member.log, outbound=member.outbound)

    def gateway_files(self) -> EnvoyFiles:
        return gateway(self.mesh, self.server, self.pods, certificates=self.gateway_certificates, edge=self.secrets, log=self.gateway_log)

    @property
    def pods(self) -> list[MeshPod]:
        return [member.pod for member in self.members.values()]

    @property
    def gateway_log(self) -> Path:
        return self.gateway_folder / "access.log"

    def end(self, name: str) -> None:
        """What ends a Pod: its Envoy, then its programs."""
        member = self.members.pop(name)
        _stop(self.envoys.pop(member.folder))
        for program in member.programs.values():
            self.backends.remove(program)

    def close(self) -> None:
        for envoy in self.envoys.values():
            _stop(envoy)
        self.backends.close()

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Who asks

    def context(self, identity: Identity | None, *trust: Authority) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=b"".join(authority.certificate for authority in trust or (self.edge_authority,)).decode())
        if identity is not None:
            self._identities += 1
            folder = identity.write(self.root / "clients" / str(self._identities))
            context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        return context

    def ask(self, path: str = "/", *, identity: Identity | str | None = "client", host: str = HOST, sni: str | None = HOST, **request) -> Answer:
        """One request at the gateway. identity: the client's certificate; None shows none."""
        context = self.context(self.client if identity == "client" else identity)
        if sni is None:
            context.check_hostname = False
        return ask(self.server.outer, 8443, path, host=host, context=context, sni=sni, **request)

    def ask_pod(self, name: str, path: str = "/", *, port: int = 8080, identity: Identity | None = None, plain: bool = False, **request) -> Answer:
        """One request straight at a Pod's outer address, past the gateway."""
        pod = self.members[name].pod
        context = None if plain else self.context(identity, self.mesh_authority)
        if context is not None:
            context.check_hostname = False
        return ask(pod.outer, port, path, host="anything", context=context, **request)

    def load(self, path: str = "/", *, identity: Identity | None = None, headers: dict[str, str] | None = None, clients: int = 4) -> Load:
        """Clients at the gateway, asking all the time."""
        context = self.context(identity or self.client)

        def connect() -> http.client.HTTPConnection:
            connection = http.client.HTTPConnection(self.server.outer, 8443, timeout=20)
            connection.connect()
            connection.sock = context.wrap_socket(connection.sock, server_hostname=HOST)
            return connection

        return Load(connect, lambda _: ("GET", path, {"headers": {"Host": HOST, **(headers or {})}}), clients)

    def workload(self, account: str, namespace: str = "models-network", **certificate) -> Identity:
        return self.mesh_authority.issue(uri=spiffe_id(namespace, account), **certificate)

    def logged(self, log: Path, wanted: Callable[[dict], bool], patience: float = 5.0) -> dict:
        """The first line of an access log that fits."""
        return eventually(lambda: next(filter(wanted, lines(log)), None), patience, lambda: f"no such line among {lines(log)[-5:]}")


def ask(
    address: str, port: int, path: str = "/", *, host: str = HOST, context: ssl.SSLContext | None = None, sni: str | None = None, method: str = "GET",
    headers: dict[str, str] | None = None, body: bytes | None = None,
) -> Answer:
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.connect()
        if context is not None:
            connection.sock = context.wrap_socket(connection.sock, server_hostname=sni)
        with contextlib.suppress(ssl.SSLEOFError, BrokenPipeError, ConnectionResetError):  # an answer may come before all is said
            connection.request(method, path, body, {"Host": host, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode())
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected) as error:
        raise Refused(str(error)) from error
    finally:
        connection.close()


def lines(log: Path) -> list[dict]:
    """The whole lines of an access log."""
    text = log.read_text() if log.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def eventually(look: Callable[[], T | None], patience: float, complaint: Callable[[], str]) -> T:
    """What `look` finds, looked for again until it is there."""
    until = time.monotonic() + patience
    while (found := look()) is None or found is False:
        assert time.monotonic() < until, complaint()
        time.sleep(0.02)
    return found


def free(address: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex((address, port)) != 0


def _stop(envoy: "subprocess.Popen[bytes]") -> None:
    envoy.terminate()
    try:
        envoy.wait(10)
    except subprocess.TimeoutExpired:
        envoy.kill()
        envoy.wait()
