"""The stream's consumer as a process: predictions of every entity at every tick, without anybody asking.

    python -m inference.stream.score --model_dir=/mnt/models --event_log=FOLDER --journal_dir=FOLDER --prediction_log=FOLDER --http_port=8081

It reads the topic that `python -m inference.stream --feature_topic=features` writes. SIGTERM and SIGINT end it in order: the run at hand is
finished, the journal is shipped to zero lag, exit code 0.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import NoReturn

import uvicorn

from inference.http_server import HttpServer, address_of, listen
from inference.journal.levels import open_journal
from inference.journal.once import OnceJournal, Unfinished, recorded
from inference.journal.record import Writer, names_of
from inference.journal.shipper import Shipper
from inference.path.drift import DriftFile
from inference.path.inside import Inside, RunClock
from inference.path.recall import RevocationList
from inference.path.served import ready_release
from inference.stream.health import health_app
from inference.stream.scorer import StreamScorer
from inference.stream.topics import FEATURES, SCORED
from presage.durations import parse_duration
from presage.errors import ArtifactRefused, PresageError, UsageError
from presage.events.log import open_event_log
from presage.hosts import install
from presage.logs import get_logger
from presage.package.approvals import Approvals
from presage.package.keys import Trust
from presage.package.release import verify_folder
from presage.package.revocation import Revocations
from presage.state import State

DRAIN_SECONDS = 20.0
_LONGEST_WAIT = 0.25  # seconds between two looks at a topic in which nothing is new
_log = get_logger("presage.stream")


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of one consumer; `from_arguments` reads them."""

    model_dir: Path
    """The folder that the gate filled."""
    event_log: str
    """Where both topics are: `sqlite:FOLDER`, or a folder alone."""
    journal_dir: Path
    """Folder of the journal; no server may write there."""
    prediction_log: Path
    """Folder of the prediction log."""
    trust_keys: Path
    """Folder of trusted *.pub keys."""
    feature_topic: str = FEATURES
    """Topic that is read."""
    output_topic: str = SCORED
    """Topic that predictions are written to; no other consumer may write there."""
    group: str = "score"
    """Whose offsets are committed: another group scores everything again."""
    keep: timedelta = timedelta(hours=24)
    """Event time after which the output topic forgets."""
    explain: bool = False
    """Whether each prediction comes with reasons (the policy may ask for them always)."""
    region: str | None = None
    """Region of the prediction log; None = the policy's."""
    journal_replica: str | None = None
    """Event log that `journal: replicated` copies to."""
    drift_file: Path | None = None
    """Where somebody says which members have drifted."""
    ship_seconds: float = 5.0
    """How often the journal is shipped."""
    host: str = "127.0.0.1"
    """Address for health and metrics."""
    http_port: int = 8080
    """Port for health and metrics; 0 = any free one, named on the first line of stderr."""

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> "ScoreSettings":
        """Read the command line. Raises UsageError on an unknown option or a value that is none."""
        parser = _Parser(prog="python -m inference.stream.score", description=__doc__, allow_abbrev=False)
        parser.add_argument("--model_dir", type=Path, required=True, help="folder that the gate filled")
        parser.add_argument("--event_log", required=True, help="sqlite:FOLDER")
        parser.add_argument("--journal_dir", type=Path, help="default: journal/stream in the state directory")
        parser.add_argument("--prediction_log", type=Path, help="default: predictions in the state directory")
        parser.add_argument("--trust_keys", type=Path, help="folder of trusted *.pub keys (default: $PRESAGE_TRUST_KEYS, else the state's)")
        parser.add_argument("--feature_topic", default=cls.feature_topic, help="topic that is read (default: %(default)s)")
        parser.add_argument("--output_topic", default=cls.output_topic, help="topic of predictions (default: %(default)s)")
        parser.add_argument("--group", default=cls.group, help="whose offsets are committed (default: %(default)s)")
        parser.add_argument("--keep", default="24h", help="event time after which the output topic forgets (default: %(default)s)")
        parser.add_argument("--explain", action="store_true", help="with reasons")
        parser.add_argument("--region", help="region of the prediction log (default: the policy's)")
        parser.add_argument("--journal_replica", help="event log that journal: replicated copies to")
        parser.add_argument("--drift_file", type=Path, help="which members have drifted")
        parser.add_argument("--ship_seconds", type=float, default=cls.ship_seconds, help="how often the journal is shipped (default: %(default)s)")
        parser.add_argument("--host", default=cls.host, help="address for health and metrics (default: %(default)s)")
        parser.add_argument("--http_port", type=int, default=cls.http_port, help="port for health and metrics (default: %(default)s)")
        given = vars(parser.parse_args(arguments))
        given["keep"] = parse_duration(given["keep"])
        if not 0 <= given["http_port"] <= 65535:
            raise UsageError(f"--http_port {given['http_port']} is no port. Give a number from 0 to 65535.")
        given["journal_dir"] = given["journal_dir"] or State.open().root / "journal" / "stream"
        given["prediction_log"] = given["prediction_log"] or State.open().root / "predictions"
        given["trust_keys"] = given["trust_keys"] or Path(os.environ.get("PRESAGE_TRUST_KEYS") or State.open().keys)
        return cls(**given)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. See python -m inference.stream.score --help.")


def run(settings: ScoreSettings) -> bool:
    """Score until a signal comes; whether every record is in the prediction log. Raises PresageError where it cannot start or go on."""
    os.umask(0o077)
    install()  # names that only a cluster's DNS knows
    with contextlib.ExitStack() as closing:
        listener = closing.enter_context(contextlib.closing(_listen(settings.host, settings.http_port)))
        clock = RunClock()
        drift = None if settings.drift_file is None else DriftFile(settings.drift_file, perf_counter)
        approvals, revocations = os.environ.get("PRESAGE_APPROVALS"), os.environ.get("PRESAGE_REVOCATIONS")
        verified = verify_folder(
            settings.model_dir, Trust.open(settings.trust_keys), approvals=Approvals.open(Path(approvals)) if approvals else None,
            revocations=Revocations.open(Path(revocations)) if revocations else None,
        )  # fmt: skip
        watched = RevocationList(Path(revocations), perf_counter) if revocations else None
        release = ready_release(verified, drift=drift, clock=clock, revocations=watched)
        unfinished = Unfinished(settings.journal_dir)
        known = recorded(settings.journal_dir)  # before anything is written
        writer = Writer(release.name, release.version, release.digest, settings.region or release.region, **names_of(release.contract))
        opened = open_journal(release.journal, settings.journal_dir, writer, replica=settings.journal_replica)
        journal = closing.enter_context(contextlib.closing(OnceJournal(opened, known)))
        features = closing.enter_context(contextlib.closing(open_event_log(settings.event_log, settings.feature_topic)))
        output = closing.enter_context(contextlib.closing(open_event_log(settings.event_log, settings.output_topic, partitions=features.partitions)))
        inside = Inside(release, journal, "stream", clock=clock, explain=settings.explain)
        scorer = StreamScorer(inside, features, output, settings.group, settings.keep.total_seconds(), told=unfinished.finished)
        inside.metrics.queue_depth = lambda: scorer.waiting
        where = f"health and metrics at {address_of(listener)}"
        print(f"scoring by {release.name}:{release.version}, {scorer.waiting} rows wait; {where}", file=sys.stderr, flush=True)
        work = _Work(scorer)
        shipped = asyncio.run(_serve(work, inside, listener, Shipper(settings.journal_dir, settings.prediction_log, settings.ship_seconds)))
        shipped = shipped and journal.lag() == 0
    if work.failure is not None:
        raise work.failure
    if not shipped:
        remedy = f"Run: python -m inference.journal.ship {settings.journal_dir} {settings.prediction_log}"
        print(f"{settings.journal_dir}: records are not in the prediction log yet. {remedy}", file=sys.stderr)
    return shipped


class _Work:
    """The consumer's thread. failure: what ended it early."""

    def __init__(self, scorer: StreamScorer) -> None:
        self._scorer = scorer
        self._stop, self.ended = threading.Event(), threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish the run at hand; returns when it is."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._scorer.step():
                    self._stop.wait(_LONGEST_WAIT)
        except Exception as error:
            self.failure = error
        finally:
            self.ended.set()


async def _serve(work: _Work, inside: Inside, listener: socket.socket, shipper: Shipper) -> bool:
    """Serve health until SIGTERM, SIGINT or the end of the work, then drain; whether all was shipped."""
    app = health_app(live=lambda: not work.ended.is_set(), ready=lambda: not work.ended.is_set(), exposition=inside.metrics.exposition)
    server = HttpServer(uvicorn.Config(app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=2))
    loop = asyncio.get_running_loop()

    def leave() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    await shipper.start()
    work.start()
    watch = loop.run_in_executor(None, _watch, work.ended, server)
    await server.serve(sockets=[listener])
    leave()
    await watch
    await loop.run_in_executor(None, work.stop)
    return await shipper.drain(DRAIN_SECONDS)


def _watch(ended: threading.Event, server: uvicorn.Server) -> None:
    while not server.should_exit:
        if ended.wait(0.1):
            server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port, 64)
    except OSError as error:
        raise UsageError(f"{host}:{port} cannot be listened on ({(error.strerror or str(error)).lower()}). Free it, or choose another --http_port.") from error


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 after a graceful stop, 1 with one sentence where it cannot start or go on, 2 on wrong usage."""
    try:
        return 0 if run(ScoreSettings.from_arguments(arguments)) else 1
    except ArtifactRefused as refused:
        print(f"refused ({refused.reason}): {refused.message}", file=sys.stderr, flush=True)
        return refused.exit_code
    except PresageError as error:
        print(error.message, file=sys.stderr, flush=True)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
