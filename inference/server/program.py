"""From flags to a running server, and back to nothing.

Verify the release, load it, take the port, answer health at once and predictions when warm; on SIGTERM stop accepting,
finish what is being answered, ship the journal to zero lag, end with 0.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import platform
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from inference.clients.buckets import Clients
from inference.http_server import address_of, listen
from inference.journal.levels import Journal, open_journal
from inference.journal.record import Writer, names_of
from inference.journal.shipper import Shipper
from inference.metrics.catalogue import ServingMetrics
from inference.metrics.door import metrics_door
from inference.path.chain import Backends, build_path
from inference.path.drift import DriftFile
from inference.path.identity import request_ids
from inference.path.online import OnlineFeatures
from inference.path.queue import PredictionQueue
from inference.path.recall import RevocationList
from inference.path.served import NO_REMOTE, ServedRelease, ready_release
from inference.path.shadow import Shadow, ShadowSettings, shadow_calls
from inference.path.shape import PathLimits
from inference.server.callers import Callers
from inference.server.flags import ServerFlags, parse_flags
from inference.server.http_door import GRACE_SECONDS, http_door
from inference.server.limits import DoorLimits
from inference.server.service import Service
from inference.server.tls import ServerTls
from inference.server.warm_up import warm_up
from presage.errors import ArtifactRefused, PlaneError, PresageError
from presage.hosts import install
from presage.logs import get_logger, to_stderr
from presage.package.approvals import Approvals
from presage.package.keys import Trust
from presage.package.release import Release, verify_folder
from presage.package.revocation import Revocations

if TYPE_CHECKING:
    from inference.server.rpc.door import RpcServer
    from inference.triton.beside import Beside

COLLECT_AFTER = 20_000
"""Objects made and not let go before the collector looks for rings: a tick of 64 requests holds more than Python's 700, and what a
request leaves is no ring (tests/inference/test_request_path.py)."""
DRAIN_SECONDS = 20.0
_log = get_logger("presage.server")


def main(arguments: list[str]) -> int:
    """Exit code 0 after a graceful stop, 1 with one sentence where the server cannot start or the journal was not shipped."""
    to_stderr()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    install()  # names that only a cluster's DNS knows
    try:
        return _serve(parse_flags(arguments))
    except ArtifactRefused as refused:
        print(f"refused ({refused.reason}): {refused.message}", file=sys.stderr)
        return refused.exit_code
    except PresageError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code


def _serve(flags: ServerFlags) -> int:
    if flags.ignored:
        _log.warning("flags that mean nothing here", flags=list(flags.ignored))
    drift = None if flags.drift_file is None else DriftFile(flags.drift_file, time.perf_counter)
    revocations = None if flags.revocations is None else RevocationList(flags.revocations, time.perf_counter)
    verified = verify_folder(
        flags.model_dir, Trust.open(flags.trust_keys), approvals=None if flags.approvals is None else Approvals.open(flags.approvals),
        revocations=None if flags.revocations is None else Revocations.open(flags.revocations),
    )  # fmt: skip
    triton = _triton_beside(flags, verified)
    release = ready_release(verified, drift=drift, remote=NO_REMOTE if triton is None else triton.members, revocations=revocations)
    callers = Callers.open(flags)
    with contextlib.ExitStack() as closing:
        listener = closing.enter_context(contextlib.closing(_listen(flags.host, flags.http_port, "http_port")))
        scraped = None
        if flags.metrics_port is not None:
            scraped = closing.enter_context(contextlib.closing(_listen(flags.host, flags.metrics_port, "metrics_port")))
        writer = Writer(release.name, release.version, release.digest, flags.region or release.region, **names_of(release.contract))
        journal = closing.enter_context(contextlib.closing(open_journal(release.journal, flags.journal_dir, writer, replica=flags.journal_replica)))
        online = closing.enter_context(contextlib.closing(OnlineFeatures(flags.online_store, flags.service)))
        service = build_service(release, journal, online, flags.model_name or release.name, callers.clients, is_shadow=flags.is_shadow)
        service.metrics.limits_shared = callers.is_shared
        if flags.shadow_url is not None:
            service.shadow = Shadow(ShadowSettings(flags.shadow_url, flags.shadow_share), service.metrics, time.perf_counter)
        runner = closing.enter_context(asyncio.Runner(loop_factory=_loop_factory()))
        return runner.run(_run(flags, release, service, journal, _Doors(listener, scraped, callers, triton)))


def _triton_beside(flags: ServerFlags, release: Release) -> "Beside | None":
    if flags.triton is None:
        return None
    from inference.triton.beside import Beside  # the gRPC client is in memory only where there is a Triton

    return Beside.of(release, flags.triton, flags.triton_metrics)


def build_service(
    release: ServedRelease, journal: Journal, online: OnlineFeatures, served_name: str, clients: Clients | None = None, *, is_shadow: bool = False,
    wall: Callable[[], float] = time.time,
) -> Service:  # fmt: skip
    """The path and its counters behind one `handle`; the batch door and the tests build theirs the same way."""
    import onnxruntime

    np.seterr(over="ignore")  # a number beyond float32 becomes infinite and is refused by the guard; once a process, not once a request
    build = {
        "version": version("presage"), "python": platform.python_version(), "onnxruntime": onnxruntime.__version__,
        "model": served_name, "release": f"{release.name}:{release.version}", "digest": release.digest, "family": release.family,
    }  # fmt: skip
    metrics = ServingMetrics(served_name, release.version, release.contract.view.view.name, build, journal.lag)
    path = build_path(release, Backends(online, journal, metrics, wall, request_ids(), _beside), PathLimits())
    queue = PredictionQueue(path, metrics, release.bounds, time.perf_counter)
    return Service(release, queue, metrics, online, served_name=served_name, program=version("presage"), clients=clients, is_shadow=is_shadow)


_BESIDE: set[asyncio.Task[None]] = set()


def _beside(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it on this loop, and hold on to it until it is done: the loop itself does not."""
    task = asyncio.get_running_loop().create_task(coroutine)
    _BESIDE.add(task)
    task.add_done_callback(_BESIDE.discard)


class _Doors(NamedTuple):
    """What the running server listens on, the file it goes on reading, and the Triton beside it."""

    listener: socket.socket
    scraped: socket.socket | None
    callers: Callers
    triton: "Beside | None"


async def _run(flags: ServerFlags, release: ServedRelease, service: Service, journal: Journal, doors: _Doors) -> int:
    limits = DoorLimits(body=flags.max_body_bytes, patience=flags.patience_seconds)
    tls = None
    if flags.tls_certificate is not None and flags.tls_key is not None:
        tls = ServerTls(flags.tls_certificate, flags.tls_key, flags.tls_client_ca)
    door = http_door(flags.door, doors.listener, service, limits, keep_alive=flags.timeout_keep_alive, tls=None if tls is None else tls.context)
    shipper = Shipper(flags.journal_dir, flags.prediction_log, flags.ship_seconds)
    loop = asyncio.get_running_loop()
    service.queue.soon = loop.call_soon

    rpc = await _rpc_door(flags, service)

    def stop() -> None:
        service.leaving = True
        door.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await shipper.start()
    helpers = [asyncio.create_task(_become_ready(service, release, doors, rpc))]
    if tls is not None:
        helpers.append(asyncio.create_task(tls.follow()))
    helpers += [asyncio.create_task(task()) for task in doors.callers.tasks]
    # Metrics are served while the journal drains, too: its lag is worth seeing then.
    async with _followed(doors.triton, service), shadow_calls(service.shadow), metrics_door(doors.scraped, service.metrics.exposition):
        await door.run()
        if rpc is not None:
            await rpc.stop(GRACE_SECONDS)
        for helper in helpers:
            helper.cancel()
            with suppress(asyncio.CancelledError):
                await helper
        shipped = await shipper.drain(DRAIN_SECONDS) and journal.lag() == 0
    if not shipped:
        remedy = f"Run: python -m inference.journal.ship {flags.journal_dir} {flags.prediction_log}"
        print(f"{flags.journal_dir}: {journal.lag()} records are not in the prediction log yet. {remedy}", file=sys.stderr)
    _log.info("stopped", lag=journal.lag())
    return 0 if shipped else 1


@contextlib.asynccontextmanager
async def _followed(triton: "Beside | None", service: Service) -> AsyncIterator[None]:
    if triton is None:
        yield
        return
    service.metrics.beside = triton.exposition
    async with triton.followed():
        yield


async def _rpc_door(flags: ServerFlags, service: Service) -> "RpcServer | None":
    if flags.grpc_port is None:
        return None
    from inference.server.rpc.door import RpcLimits, serve_rpc  # nothing of it is in memory where nobody asks for gRPC
    from inference.server.rpc.tls import credentials

    certificate, key = flags.tls_certificate, flags.tls_key
    tls = None if certificate is None or key is None else partial(credentials, certificate, key, flags.tls_client_ca)
    limits = RpcLimits(message=flags.max_message_bytes, patience=flags.patience_seconds)
    return await serve_rpc(flags.host, flags.grpc_port, service, limits, tls)


async def _become_ready(service: Service, release: ServedRelease, doors: _Doors, rpc: "RpcServer | None") -> None:
    if doors.triton is not None:
        await doors.triton.until_ready()
    await warm_up(release)
    gc.collect()
    gc.freeze()  # what lives now lives on: the collector need not walk it again
    gc.set_threshold(COLLECT_AFTER)
    service.ready = True
    scraped = {} if doors.scraped is None else {"metrics": address_of(doors.scraped) + "/metrics"}
    address = address_of(doors.listener)
    more = {} if rpc is None else {"grpc": rpc.address}
    _log.info("ready", address=address, **scraped, **more, release=f"{release.name}:{release.version}", digest=release.digest, pid=os.getpid())


def _listen(host: str, port: int, flag: str) -> socket.socket:
    try:
        return listen(host, port, 1024)
    except OSError as error:
        because = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise PlaneError(f"{host}:{port} {because}. Stop that program, or choose another --{flag}.") from None


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # where uvloop has no build asyncio's own loop serves too, slower
        return None
    factory: type[asyncio.AbstractEventLoop] = uvloop.Loop
    return factory
