"""grpc.aio in front of the calls: limits, admission before a message is read, a stop that waits for answers.

    rpc = await serve_rpc("127.0.0.1", 8081, service, RpcLimits())
    rpc.address                    # 127.0.0.1:8081
    await rpc.stop(10)             # takes no more, answers what it has
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

import grpc
from grpc import aio

from inference.clients.certificates import HEADER as CERTIFICATES
from inference.http_server import listen
from inference.server.rpc.calls import INFER, Calls
from inference.server.rpc.gathering import FAILED, Answer, Arrived, Gathering
from inference.server.rpc.patience import Patience
from inference.server.rpc.status import code_of, retry_hint
from inference.server.service import Service
from presage.errors import PlaneError, RequestRefused
from presage.logs import get_logger

_log = get_logger("presage.server")
_NOTHING = b""
HUNG_UP = "499"  # as proxies count it
ACCEPTORS = 16
"""Servers of grpc.aio that share the port and this loop. One takes a single call a turn of the loop, so that each would be answered alone;
the kernel spreads connections over them."""

SAYING_NO, MOMENT = 20, 0.1
"""A stopping door says no for at most so many moments of so many seconds: until one passes in which nobody asked."""


class Context(Protocol):
    """What of grpc.aio's context of a call is used here."""

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...
    def time_remaining(self) -> float | None: ...
    async def read(self) -> object: ...
    def set_code(self, code: grpc.StatusCode) -> None: ...
    def set_details(self, details: str) -> None: ...
    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None: ...


Handler = Callable[[object, Context], Awaitable[bytes]]


@dataclass(frozen=True)
class RpcLimits:
    """message: bytes of one request, whole. metadata: bytes of one call's metadata. calls: being received or answered, of all connections;
    streams: of one connection; connections: at most. patience: seconds until a call's message must be whole. idle: seconds after which a
    connection without calls is closed; ping: least seconds between a client's pings, alive: seconds after which a silent one is asked
    whether it is still there."""

    message: int = 8 << 20
    metadata: int = 16 << 10
    calls: int = 2048
    streams: int = 100
    connections: int = 2048
    patience: float = 10.0
    idle: float = 300.0
    ping: float = 10.0
    alive: float = 60.0


def channel_options(limits: RpcLimits) -> list[tuple[str, int]]:
    """gRPC's own settings of one acceptor."""
    return [
        ("grpc.so_reuseport", 1),  # among the acceptors
        ("grpc.max_receive_message_length", limits.message),
        ("grpc.max_metadata_size", limits.metadata),
        ("grpc.absolute_max_metadata_size", limits.metadata),
        ("grpc.max_concurrent_streams", limits.streams),
        ("grpc.max_allowed_incoming_connections", max(1, limits.connections // ACCEPTORS)),
        ("grpc.server_handshake_timeout_ms", round(1000 * limits.patience)),
        ("grpc.max_connection_idle_ms", round(1000 * limits.idle)),
        ("grpc.keepalive_time_ms", round(1000 * limits.alive)),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", round(1000 * limits.ping)),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.compression_enabled_algorithms_bitset", 1),  # identity alone: the limit of a message is not one of what it unpacks to
    ]


class RpcServer:
    """A running door. address: `host:port`. asked: how many calls it was given so far."""

    def __init__(self, servers: Sequence[Any], address: str, asked: Callable[[], int]) -> None:
        self.address = address
        self._servers, self._asked = servers, asked

    async def stop(self, grace: float) -> None:
        """Take no more calls; give those that run `grace` seconds. The service is leaving by now: whoever still asks is told UNAVAILABLE, until
        nobody has asked for a moment. Only then are connections closed, since a call that arrives meanwhile would end as CANCELLED."""
        for _ in range(SAYING_NO):
            asked = self._asked()
            await asyncio.sleep(MOMENT)
            if asked == self._asked():
                break
        await asyncio.gather(*(server.stop(grace) for server in self._servers))


async def serve_rpc(host: str, port: int, service: Service, limits: RpcLimits, tls: Callable[[], Any] | None = None) -> RpcServer:
    """Listen and answer on this loop. port 0: any free one. tls: makes gRPC's credentials, once an acceptor; None = plain.

    Raises PlaneError where the port cannot be had.
    """
    shown, port = f"[{host}]" if ":" in host else host, _free(host, port)
    methods = _Methods(Calls(service), limits.patience)
    servers = []
    for _ in range(ACCEPTORS):
        server = aio.server(options=channel_options(limits), maximum_concurrent_rpcs=max(1, limits.calls // ACCEPTORS))
        server.add_generic_rpc_handlers(methods.handlers())
        try:
            server.add_insecure_port(f"{shown}:{port}") if tls is None else server.add_secure_port(f"{shown}:{port}", tls())
        except RuntimeError:
            raise PlaneError(f"{host}:{port} cannot be used for gRPC. Choose another --grpc_port.") from None
        servers.append(server)
    for server in servers:
        await server.start()
    return RpcServer(servers, f"{shown}:{port}", lambda: methods.asked)


def _free(host: str, port: int) -> int:
    """The port, once it is known that nobody else listens there: the kernel would let another program share it."""
    try:
        with closing(listen(host, port, 1)) as probe:
            number: int = probe.getsockname()[1]
            return number
    except OSError as error:
        because = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise PlaneError(f"{host}:{port} {because}. Stop that program, or choose another --grpc_port.") from None


class _Methods:
    """The methods as gRPC takes them. All take a stream of one message: so the message is read here, when its caller is known."""

    def __init__(self, calls: Calls, patience: float) -> None:
        loop = asyncio.get_running_loop()
        self._calls, self._patience, self.asked = calls, Patience(patience, loop), 0
        self._gathering = Gathering(calls, self._patience.reading, loop)

    def handlers(self) -> tuple[Any, ...]:
        """One a service."""
        found: dict[str, dict[str, Any]] = {}
        for path in (INFER, *self._calls.reads):
            _, service, method = path.split("/")
            found.setdefault(service, {})[method] = grpc.stream_unary_rpc_method_handler(self._handler(path))
        return tuple(grpc.method_handlers_generic_handler(service, methods) for service, methods in found.items())

    def _handler(self, name: str) -> Handler:
        calls, reads = self._calls, self._calls.reads.get(name)
        service, path = calls.service, calls.infer_path if reads is None else reads.path

        async def handle(_: object, context: Context) -> bytes:
            before = service.clock()
            service.metrics.inflight += 1
            self.asked += 1
            try:
                headers = _headers(context)
                caller = "" if service.clients is None else service.clients.admit(headers, path, before)
                content = await self._patience.read(context)
                if not isinstance(content, bytes):
                    return _NOTHING  # the caller hung up, or sent more than a message may have
                if reads is None:
                    return await self._infer(content, headers, caller, before, context)
                answer = reads.read(content)
                service.metrics.requests.add(calls.name, calls.version, "other", "200", "")
                return answer
            except RequestRefused as refusal:
                return self._refused(refusal, "other" if reads else "grpc", before, context)
            except TimeoutError:
                late = RequestRefused(408, "slow", f"The message was not whole after {self._patience.seconds:g} s. Send it at once.")
                return self._refused(late, "other" if reads else "grpc", before, context)
            except asyncio.CancelledError:  # the caller hung up
                service.metrics.requests.add(calls.name, calls.version, "other" if reads else "grpc", HUNG_UP, "")
                raise
            except Exception:
                _log.exception("a call failed inside", method=name)
                return self._refused(FAILED, "other" if reads else "grpc", before, context)
            finally:
                service.metrics.inflight -= 1

        return handle

    async def _infer(self, content: bytes, headers: dict[bytes, bytes], caller: str, before: float, context: Context) -> bytes:
        """An answer to a caller who has hung up is in the journal all the same."""
        remaining = context.time_remaining()
        deadline = inf if remaining is None else self._calls.service.clock() + remaining
        future: asyncio.Future[Answer] = self._gathering.loop.create_future()
        self._gathering.put(Arrived(content, headers, caller, before, deadline, future))
        answer = await future
        if isinstance(answer.content, RequestRefused):
            return self._refused(answer.content, "grpc", before, context)
        self._count("grpc", 200, answer.rung, before, context)
        return answer.content

    def _refused(self, refusal: RequestRefused, endpoint: str, before: float, context: Context) -> bytes:
        service = self._calls.service
        service.metrics.refused.add(self._calls.name, refusal.reason)
        context.set_code(code_of(refusal))
        context.set_details(refusal.message)
        self._count(endpoint, refusal.status, "", before, context, *retry_hint(refusal))
        return _NOTHING

    def _count(self, endpoint: str, status: int, rung: str, before: float, context: Context, *hints: tuple[str, str]) -> None:
        """Status: HTTP's, so that one alert counts what every door answers."""
        metrics = self._calls.service.metrics
        metrics.requests.add(self._calls.name, self._calls.version, endpoint, str(status), rung)
        if endpoint == "other":
            if hints:
                context.set_trailing_metadata(hints)
            return
        added = self._calls.service.clock() - before
        metrics.seconds[endpoint].observe(added)
        context.set_trailing_metadata((("server-timing", f"presage;dur={1e3 * added:.3f}"), *hints))


def _headers(context: Context) -> dict[bytes, bytes]:
    """Metadata as the HTTP doors have their headers: the last of a name counts, but each proxy's word on a certificate is kept."""
    headers: dict[bytes, bytes] = {}
    for name, value in context.invocation_metadata() or ():
        key, text = name.encode("latin-1"), value if isinstance(value, bytes) else value.encode("latin-1", "replace")
        headers[key] = headers[key] + b"," + text if key == CERTIFICATES and key in headers else text
    return headers
