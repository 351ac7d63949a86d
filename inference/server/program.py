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
import secrets
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import structlog
import uvicorn

from inference.clients.buckets import Clients
from inference.clients.certificates import caller
from inference.clients.limits import LimitsFile, follow
from inference.http_server import HttpServer, address_of, listen
from inference.journal.record import Writer
from inference.journal.shipper import Shipper
from inference.journal.writer import Journal
from inference.metrics.catalogue import ServingMetrics
from inference.metrics.door import metrics_door
from inference.path.chain import Backends, build_chain
from inference.path.online import OnlineFeatures
from inference.path.served import ServedRelease, ready_release
from inference.path.shape import PathLimits
from inference.server.asgi import asgi_app
from inference.server.flags import ServerFlags, parse_flags
from inference.server.guarded import guarded_protocol, sweep_for_ever
from inference.server.limits import DoorLimits
from inference.server.service import PROBES, Service
from inference.server.warm_up import warm_up
from presage.errors import ArtifactRefused, PlaneError, PresageError
from presage.package.keys import Trust
from presage.package.release import verify_folder

DRAIN_SECONDS = 20.0
_log = structlog.get_logger("presage.server")


def main(arguments: list[str]) -> int:
    """Exit code 0 after a graceful stop, 1 with one sentence where the server cannot start or the journal was not shipped."""
    processors = structlog.processors
    structlog.configure(
        processors=[processors.TimeStamper("iso", utc=True), processors.add_log_level, processors.format_exc_info, processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
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
    release = ready_release(verify_folder(flags.model_dir, Trust.open(flags.trust_keys)))
    limits = LimitsFile(flags.client_limits) if flags.client_limits is not None else None
    clients = _clients(flags, limits)
    with contextlib.ExitStack() as closing:
        listener = closing.enter_context(contextlib.closing(_listen(flags.host, flags.http_port, "http_port")))
        scraped = None
        if flags.metrics_port is not None:
            scraped = closing.enter_context(contextlib.closing(_listen(flags.host, flags.metrics_port, "metrics_port")))
        writer = Writer(release.name, release.version, release.digest, flags.region or release.region)
        journal = closing.enter_context(contextlib.closing(Journal.open(flags.journal_dir, writer)))
        online = closing.enter_context(contextlib.closing(OnlineFeatures(flags.online_store, flags.service)))
        service = build_service(release, journal, online, flags.model_name or release.name, clients)
        runner = closing.enter_context(asyncio.Runner(loop_factory=_loop_factory()))
        return runner.run(_run(flags, release, service, journal, _Doors(listener, scraped, limits)))


def _clients(flags: ServerFlags, file: LimitsFile | None) -> Clients | None:
    """Who may ask how often, where the flags name limits. Raises InputError."""
    if file is None:
        if flags.client_identity != "none":
            _log.warning("callers are told apart and not limited: --client_limits is not set")
        return None
    identify = partial(caller, gateway=flags.gateway_identity) if flags.client_identity == "xfcc" else None
    if identify is None:
        _log.warning("all callers count as one: --client_identity is not set")
    return Clients(file.read(), time.perf_counter, identify=identify, probes=PROBES)


def build_service(release: ServedRelease, journal: Journal, online: OnlineFeatures, served_name: str, clients: Clients | None = None) -> Service:
    """The path and its counters behind one `handle`; the batch door and the tests build theirs the same way."""
    import onnxruntime

    np.seterr(over="ignore")  # a number beyond float32 becomes infinite and is refused by the guard; once a process, not once a request
    build = {
        "version": version("presage"), "python": platform.python_version(), "onnxruntime": onnxruntime.__version__,
        "model": served_name, "release": f"{release.name}:{release.version}", "digest": release.digest, "family": release.family,
    }  # fmt: skip
    metrics = ServingMetrics(served_name, release.version, release.contract.view.view.name, build, journal.lag)
    chain = build_chain(release, Backends(online, journal, metrics, time.time, lambda: secrets.token_hex(8)), PathLimits())
    return Service(release, chain, metrics, online, served_name=served_name, program=version("presage"), clients=clients)


class _Doors(NamedTuple):
    """What the running server listens on, and the file it goes on reading."""

    listener: socket.socket
    scraped: socket.socket | None
    limits: LimitsFile | None


async def _run(flags: ServerFlags, release: ServedRelease, service: Service, journal: Journal, doors: _Doors) -> int:
    limits = DoorLimits(body=flags.max_body_bytes, patience=flags.patience_seconds)
    server = HttpServer(uvicorn.Config(
        asgi_app(service, limits), http=guarded_protocol(limits), interface="asgi3", loop="none", lifespan="off", proxy_headers=False, server_header=False,
        access_log=False, log_config=None, log_level="error",
        limit_concurrency=limits.connections, timeout_keep_alive=flags.timeout_keep_alive, timeout_graceful_shutdown=10,
    ))  # fmt: skip
    shipper = Shipper(journal.folder, flags.prediction_log, flags.ship_seconds)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        service.ready = False
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await shipper.start()
    helpers = [asyncio.create_task(_become_ready(service, release, doors)), asyncio.create_task(sweep_for_ever(server.server_state.connections))]
    if doors.limits is not None and service.clients is not None:
        helpers.append(asyncio.create_task(follow(doors.limits, service.clients.replace)))
    async with metrics_door(doors.scraped, service.metrics.exposition):  # while the journal drains, too: its lag is worth seeing then
        await server.serve(sockets=[doors.listener])
        for helper in helpers:
            helper.cancel()
            with suppress(asyncio.CancelledError):
                await helper
        shipped = await shipper.drain(DRAIN_SECONDS) and journal.lag() == 0
    if not shipped:
        remedy = f"Run: python -m inference.journal.ship {journal.folder} {flags.prediction_log}"
        print(f"{journal.folder}: {journal.lag()} records are not in the prediction log yet. {remedy}", file=sys.stderr)
    _log.info("stopped", lag=journal.lag())
    return 0 if shipped else 1


async def _become_ready(service: Service, release: ServedRelease, doors: _Doors) -> None:
    await warm_up(release)
    gc.collect()
    gc.freeze()  # what lives now lives on: the collector need not walk it again
    service.ready = True
    scraped = {} if doors.scraped is None else {"metrics": address_of(doors.scraped) + "/metrics"}
    address = address_of(doors.listener)
    _log.info("ready", address=address, **scraped, release=f"{release.name}:{release.version}", digest=release.digest, pid=os.getpid())


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
