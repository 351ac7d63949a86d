"""The stream as one process: a producer and a consumer thread, and a small server for health and metrics.

    python -m inference.stream --source=simulated --speed=60 --online_store=sqlite:PATH --event_log=FOLDER --http_port=8080

SIGTERM and SIGINT end it in order: the source is closed, what was appended is consumed, files are closed, exit code 0.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import uvicorn

from inference.http_server import HttpServer, address_of, listen
from inference.metrics.door import metrics_door
from inference.stream.begin import Beginning, begin
from inference.stream.health import health_app
from inference.stream.metrics import StreamMetrics
from inference.stream.producer import produce
from inference.stream.refresh import FeatureRefresh
from inference.stream.settings import StreamSettings
from inference.stream.ticks import AppliedTicks
from inference.stream.topics import FeatureTopic
from presage.errors import PresageError, RunFailed, UsageError
from presage.events.log import open_event_log
from presage.features.declaration import load_view
from presage.features.store import open_online_store
from presage.hosts import install
from presage.telemetry.sources import live_source

TOPIC, TICKS = "telemetry", "telemetry-ticks"
_LONGEST_WAIT = 0.25  # seconds a consumer sleeps at most, so that it also sees what other processes append


@dataclass
class _Threads:
    """What the threads share. `failure`: the first error that ended one of them."""

    stop: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None

    def start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Run `work` in a thread; whatever ends it early is kept."""

        def run() -> None:
            try:
                work()
                if not self.stop.is_set():
                    raise RunFailed(f"The {name} ended by itself. Start the stream again.")
            except Exception as error:
                self.failure = self.failure or error
            finally:
                self.ended.set()

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread


def run(settings: StreamSettings) -> None:
    """Stream until a signal comes. Raises PresageError where it cannot start or cannot go on."""
    install()  # names that only a cluster's DNS knows
    started = time.perf_counter()
    os.umask(0o077)
    with contextlib.ExitStack() as closing:
        listener = closing.enter_context(contextlib.closing(_listen(settings.host, settings.http_port, "http_port")))
        scraped = None
        if settings.metrics_port is not None:
            scraped = closing.enter_context(contextlib.closing(_listen(settings.host, settings.metrics_port, "metrics_port")))
        source, view = live_source(settings.source), load_view(settings.view)
        store = open_online_store(settings.online_store)
        log, producer_log = (open_event_log(settings.event_log, TOPIC) for _ in range(2))
        tick_log = open_event_log(settings.event_log, TICKS, partitions=1)
        for thing in (store, log, producer_log, tick_log):
            closing.callback(thing.close)
        ticks = AppliedTicks(tick_log)
        told = None
        if settings.feature_topic:
            feature_log = open_event_log(settings.event_log, settings.feature_topic)
            closing.callback(feature_log.close)
            told = FeatureTopic(feature_log, settings.keep_features.total_seconds())
        beginning = begin(source, view, speed=settings.speed, backfill=settings.backfill if settings.backfill is not None else view.longest,
                          service=settings.service, store=store, log=log, ticks=ticks, wall=time.time)  # fmt: skip
        if told is not None and not beginning.resumed:
            told.clear()
        # The gauge's closure meets `refresh` only at a scrape, when it exists.
        metrics = StreamMetrics(source.name, view.name, lambda: refresh.age)
        refresh = FeatureRefresh(beginning.bound, beginning.stream.period, beginning.clock, log=log, ticks=ticks, store=store,
                                 service=settings.service, metrics=metrics, lateness=settings.allowed_lateness,
                                 publish=told.publish if told is not None else lambda rows: None)  # fmt: skip
        replayed = refresh.replay()
        _announce(listener, beginning, replayed)
        threads = _Threads()
        producer = threads.start("telemetry source", lambda: produce(beginning.stream, producer_log, metrics, threads.arrived.set))
        consumer = threads.start("feature refresh", lambda: _consume(refresh, threads, started))
        app = health_app(live=lambda: not threads.ended.is_set(), ready=lambda: refresh.rows > 0 or beginning.resumed, exposition=metrics.exposition)
        asyncio.run(_serve(app, listener, threads.ended, metrics_door(scraped, metrics.exposition)))
        threads.stop.set()
        beginning.stream.close()
        producer.join()
        threads.arrived.set()
        consumer.join()
    if threads.failure is not None:
        raise threads.failure


def _consume(refresh: FeatureRefresh, threads: _Threads, started: float) -> None:
    """Step at every arrival and every tick, until told to stop; what was appended by then is consumed."""
    said = False
    while True:
        stopping = threads.stop.is_set()
        threads.arrived.clear()
        pause = refresh.step()
        if refresh.rows and not said:
            said = True
            print(f"first {refresh.rows} rows written {time.perf_counter() - started:.1f} s after the start", file=sys.stderr, flush=True)
        if stopping:
            return
        threads.arrived.wait(min(pause, _LONGEST_WAIT))


def _announce(listener: socket.socket, beginning: Beginning, replayed: int) -> None:
    how = f"goes on, {replayed} readings replayed" if beginning.resumed else "starts"
    print(f"stream of {beginning.stream.source} {how}; health and metrics at {address_of(listener)}", file=sys.stderr, flush=True)
    for note in beginning.stream.notes:
        print(note, file=sys.stderr, flush=True)


def _listen(host: str, port: int, flag: str) -> socket.socket:
    try:
        return listen(host, port, 64)
    except OSError as error:
        raise UsageError(f"{host}:{port} cannot be listened on ({(error.strerror or str(error)).lower()}). Free it, or choose another --{flag}.") from error


async def _serve(app: object, listener: socket.socket, ended: threading.Event, door: contextlib.AbstractAsyncContextManager[None]) -> None:
    """Serve until SIGTERM, SIGINT or the end of a thread. door: of the metrics, open meanwhile."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=2)  # type: ignore[arg-type]
    server = HttpServer(config)
    loop = asyncio.get_running_loop()

    def leave() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    watch = loop.run_in_executor(None, _watch, ended, server)
    async with door:
        await server.serve(sockets=[listener])
    leave()
    await watch


def _watch(ended: threading.Event, server: uvicorn.Server) -> None:
    while not server.should_exit:
        if ended.wait(0.1):
            server.should_exit = True


def main(arguments: list[str]) -> int:
    """Run by command line; returns the exit code."""
    try:
        run(StreamSettings.from_arguments(arguments))
    except PresageError as error:
        print(error.message, file=sys.stderr, flush=True)
        return error.exit_code
    return 0
