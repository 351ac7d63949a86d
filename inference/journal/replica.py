"""`python -m inference.journal.replica --folder FOLDER --listen ADDRESS`: the replica of level `replicated` on one machine.

The embedded event log in a process of its own, with its own folder: it acknowledges after its own synced write. It stands in for Kafka where
there is none, as the one replica: it survives the server, its Pod and its volume, not this machine. ADDRESS is `unix:PATH`, or a loopback
address and a port. Copies of records that are in the prediction log are forgotten.
"""

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections import deque
from pathlib import Path
from typing import NamedTuple

from inference.journal.copies import PARTITIONS, TOPIC, Copied, Shipping, decode, events
from presage.errors import PresageError, StateError
from presage.events.log import EventLog
from presage.events.served import ServedEventLog, serve_event_log
from presage.logs import get_logger, to_stderr

_log = get_logger("presage.replica")


class _Kept(NamedTuple):
    """An event of the topic. following: the ordinal after its last record, None = it only says how far shipping has come."""

    offset: int
    journal: str
    following: int | None


class Forgetting:
    """Trims what is in the prediction log. Each partition's kept events are remembered, a few words each."""

    def __init__(self, log: EventLog) -> None:
        self._kept: dict[int, deque[_Kept]] = {partition: deque() for partition in log.bounds()}
        self._shipped: dict[str, int] = {}
        self._copied: dict[str, int] = {}
        for partition in self._kept:
            self._note(log, partition)

    def appended(self, log: EventLog, records: list[tuple[str, bytes]]) -> None:
        """Told of an append to the topic."""
        if not any(isinstance(decode(value), Shipping) for _, value in records):
            return
        for partition, kept in self._kept.items():
            self._note(log, partition)
            before = kept[0].offset if kept else None
            while kept and self._needless(kept[0]):
                before = kept.popleft().offset + 1
            if before is not None:
                log.trim({partition: before})

    def _note(self, log: EventLog, partition: int) -> None:
        kept = self._kept[partition]
        for event in events(log, partition, kept[-1].offset + 1 if kept else log.bounds()[partition][0]):
            value = decode(event.value)
            if isinstance(value, Copied):
                self._copied[event.key] = max(self._copied.get(event.key, 0), value.following)
                kept.append(_Kept(event.offset, event.key, value.following))
            else:
                self._shipped[event.key] = max(self._shipped.get(event.key, 0), value.ordinal)
                kept.append(_Kept(event.offset, event.key, None))

    def _needless(self, event: _Kept) -> bool:
        """The last word on how far shipping has come is needed as long as there are copies behind it."""
        shipped = self._shipped.get(event.journal, 0)
        if event.following is not None:
            return event.following <= shipped
        return self._copied.get(event.journal, 0) <= shipped


async def _serve(folder: Path, address: str) -> None:
    with contextlib.closing(_served(folder)) as served:
        server, listening = await serve_event_log(served, address)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        _log.info("ready", address=listening, folder=str(folder), pid=os.getpid())
        async with server:
            await stop.wait()


def _served(folder: Path) -> ServedEventLog:
    forgetting: list[Forgetting] = []

    def appended(topic: str, log: EventLog, records: list[tuple[str, bytes]]) -> None:
        if topic == TOPIC:
            forgetting[0].appended(log, records)

    served = ServedEventLog(folder, appended)
    forgetting.append(Forgetting(served.topic(TOPIC, PARTITIONS)))
    return served


def main() -> int:
    to_stderr()
    parser = argparse.ArgumentParser(prog="python -m inference.journal.replica", description="Keep copies of journals, acknowledged when synced.")
    parser.add_argument("--folder", type=Path, required=True, help="where the copies lie: on another volume than the journals")
    parser.add_argument("--listen", required=True, metavar="ADDRESS", help="unix:PATH, or a loopback address and a port (0 = any free one)")
    options = parser.parse_args()
    try:
        options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (options.folder / "replica.lock").open("ab") as lock:
            os.fchmod(lock.fileno(), 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StateError(f"{options.folder}: another process keeps these copies. Give each replica a --folder of its own.") from None
            asyncio.run(_serve(options.folder, options.listen))
    except PresageError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{error.filename or options.listen}: {error.strerror}. Choose another --folder or --listen.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
