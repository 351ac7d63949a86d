"""Both HTTP doors over real sockets in one loop, each before a real service whose clocks stand still and whose ids are counted.

    with Doors(site, folder) as doors:
        doors.run(doors.fast.conversation([b"GET / HTTP/1.1\\r\\n", b"\\r\\n"]))       # every byte that came back until the door hung up
"""

import asyncio
import contextlib
import itertools
import socket
import time
from functools import partial

import uvicorn
import uvloop
from uvicorn.server import ServerState

from inference.clients.buckets import Clients
from inference.clients.certificates import caller
from inference.clients.limits import ClientLimits, Limit
from inference.http_server import listen
from inference.journal.record import Writer
from inference.journal.writer import Journal
from inference.metrics.catalogue import ServingMetrics
from inference.path.chain import Backends, build_path
from inference.path.online import OnlineFeatures
from inference.path.queue import PredictionQueue
from inference.path.served import ready_release
from inference.path.shape import PathLimits
from inference.server.asgi import asgi_app
from inference.server.fast.door import serve_fast
from inference.server.guarded import guarded_protocol
from inference.server.limits import DoorLimits
from inference.server.service import PROBES, Service
from presage.package.keys import Trust
from presage.package.release import verify_folder

SMALL = DoorLimits(body=4096, head=2048, headers=20, patience=10.0, connections=64)
GATEWAY = "spiffe://cluster.local/ns/gateway/sa/presage-istio"
KEEP_ALIVE = 65.0
_QUIET = 24  # turns of the loop in which nothing came: more than any answer takes


class Standing:
    """What a service asks of the world: a clock that stands, a wall clock that stands, ids that are counted."""

    def __init__(self, wall):
        self.now, self.wall = 1000.0, wall
        self._ids = itertools.count()

    def clock(self):
        return self.now

    def wall_clock(self):
        return self.wall

    def identity(self):
        return f"{next(self._ids):016x}"

    def count_from_zero(self):
        self._ids = itertools.count()


def service_of(site, folder, closing, standing):
    """A ready service over `site`, on the running loop; callers are told apart, and never too many."""
    release = ready_release(verify_folder(site.model_dir, Trust.open(site.trust_keys)))
    journal = closing.enter_context(contextlib.closing(Journal.open(folder, Writer(release.name, release.version, release.digest, "eu"))))
    online = closing.enter_context(contextlib.closing(OnlineFeatures(f"sqlite:{site.online_store}", "incident")))
    metrics = ServingMetrics("incident", release.version, release.contract.view.view.name, {}, journal.lag)
    path = build_path(release, Backends(online, journal, metrics, standing.wall_clock, standing.identity), PathLimits())
    queue = PredictionQueue(path, metrics, release.bounds, standing.clock, asyncio.get_running_loop().call_soon)
    limits = ClientLimits("presage.client-limits/v1", {}, Limit(1e9, 1_000_000_000))
    clients = Clients(limits, standing.clock, identify=partial(caller, gateway=GATEWAY), probes=PROBES)
    service = Service(release, queue, metrics, online, served_name="incident", program="0", clients=clients, clock=standing.clock)
    service.ready = True
    return service


class Door:
    """One door at `address`. `finish` lets as much time pass as any patience has."""

    def __init__(self, service, standing):
        self.service, self.standing = service, standing
        self.listener = listen("127.0.0.1", 0, 512)
        self.address = self.listener.getsockname()

    async def conversation(self, pieces, settle=False):
        """Send `pieces`, each after the loop has turned (settle: after the door had nothing more to say), then let time pass; all that came back."""
        loop = asyncio.get_running_loop()
        self.standing.count_from_zero()
        peer = await connected(self.address)
        answer = bytearray()
        reading = loop.create_task(read_into(answer, peer))
        try:
            for piece in pieces:
                with contextlib.suppress(ConnectionError):
                    await loop.sock_sendall(peer, piece)
                await (quiet(answer, reading) if settle else turns(2))
                if reading.done():
                    break
            await quiet(answer, reading)
            self.finish()
            await reading
        finally:
            reading.cancel()
            peer.close()
        await turns(4)
        return bytes(answer)


class AsgiDoor(Door):
    async def open(self, limits):
        config = uvicorn.Config(
            asgi_app(self.service, limits), http=guarded_protocol(limits), interface="asgi3", loop="none", lifespan="off", proxy_headers=False,
            server_header=False, access_log=False, log_config=None, log_level="critical", limit_concurrency=limits.connections,
            timeout_keep_alive=int(KEEP_ALIVE),
        )  # fmt: skip
        config.load()
        self.limits, self.state = limits, ServerState()
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self.standing.wall)).encode()
        self.state.default_headers = [(b"date", date)]
        self.server = await asyncio.get_running_loop().create_server(
            lambda: config.http_protocol_class(config=config, server_state=self.state, app_state={}), sock=self.listener
        )

    def finish(self):
        now = asyncio.get_running_loop().time() + self.limits.patience + 1
        for connection in list(self.state.connections):
            connection.sweep(now)
            if not connection.transport.is_closing():
                connection.timeout_keep_alive_handler()

    async def close(self):
        self.server.close()


class FastDoor(Door):
    async def open(self, limits, **options):
        """The sweep comes when the test says so, over a clock that the test turns."""
        self.now = 0.0
        options = {"keep_alive": KEEP_ALIVE, "every": 3600.0, **options}
        self.door = await serve_fast(self.listener, self.service, limits, clock=lambda: self.now, wall=self.standing.wall_clock, **options)

    def finish(self):
        self.door.sweep()
        self.pass_time(KEEP_ALIVE + 1)
        self.door.sweep()  # those who were answered 408 just now, and do not hang up

    def pass_time(self, seconds):
        """Two sweeps: what the first sees is `seconds` old at the second."""
        self.door.sweep()
        self.now += seconds
        self.door.sweep()

    async def close(self):
        await self.door.stop(grace=1.0)


class Doors:
    """asgi, fast: the two, each before a service of its own."""

    def __init__(self, site, folder, limits=SMALL, **options):
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._closing = contextlib.ExitStack()
        wall = float(int(time.time()))
        self.asgi = self.run(self._open(AsgiDoor, site, folder / "asgi", Standing(wall), limits))
        self.fast = self.run(self._open(FastDoor, site, folder / "fast", Standing(wall), limits, **options))

    async def _open(self, kind, site, folder, standing, limits, **options):
        door = kind(service_of(site, folder, self._closing, standing), standing)
        await door.open(limits, **options)
        return door

    def run(self, coroutine):
        return self.runner.run(coroutine)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for door in (self.asgi, self.fast):
            self.run(door.close())
        self._closing.close()
        self.runner.close()


async def connected(address, **options):
    """A client's socket. options: socket options by name, set before it connects."""
    peer = socket.socket()
    peer.setblocking(False)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in options.items():
        peer.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    await asyncio.get_running_loop().sock_connect(peer, address)
    return peer


async def read_into(answer, peer):
    """Until the other side hangs up; True where it did so properly."""
    loop = asyncio.get_running_loop()
    try:
        while part := await loop.sock_recv(peer, 1 << 16):
            answer += part
    except ConnectionError:
        return False
    return True


async def turns(count):
    """Let the loop turn, and poll its sockets, so often."""
    for _ in range(count):
        await asyncio.sleep(0)


async def quiet(answer, reading):
    """Until nothing has come for a while of the loop's own turns."""
    size, still = -1, 0
    while still < _QUIET and not reading.done():
        still = still + 1 if size == len(answer) else 0
        size = len(answer)
        await asyncio.sleep(0)
