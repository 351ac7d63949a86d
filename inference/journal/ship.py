"""`python -m inference.journal.ship JOURNAL PREDICTION_LOG`: moves records from a journal to the prediction log.

The log is Parquet: `decisions/` and `snapshots/`, each `day=YYYY-MM-DD/region=R/<journal>-<ordinal>.parquet` (inference.log.folder).
A file's name follows from where its records began, and a file is whole or absent, so shipping the same place twice replaces a file and never
adds a record. A position is written after its files; a segment is removed when it is shipped and no longer written.

What policies/data-classes.yaml does not let into the log is masked here, before it is written (inference.log.masking).

It is a process of its own because the server's must not stop for it: building a table of some ten thousand records holds
the interpreter for tens of milliseconds, and polars costs some MB that the request path has no use for. The server keeps
its standard input open; when that closes (the server ends, or dies) it ships what is left and ends.
"""

import argparse
import fcntl
import os
import select
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from inference.collector import collector_at_rest
from inference.journal.record import Decision, Writer
from inference.journal.rounds import begin_round, finish_round, next_round
from inference.journal.segments import Frame, journal_id
from inference.journal.storage import sync_folders
from inference.log.classes import read_classes
from inference.log.folder import partition
from inference.log.free_text import FreeText
from inference.log.masking import Masking
from inference.log.subjects import open_subjects
from inference.log.table import decision_columns, decisions_frame, snapshot_columns, snapshots_frame, write_frame
from presage.errors import PresageError
from presage.files import written_aside

if TYPE_CHECKING:
    import polars as pl

_TIME = Decision.__struct_fields__.index("time") + 1  # behind the record's tag
BEHIND_THE_SERVER = 10
"""Niceness of a shipper that follows a server: where they share a core answers go first, the journal can wait."""
CHUNK_RECORDS = 50_000
"""Most records in one round of files: bounds this process's memory."""


def ship(journal: Path, log: Path, masking: Masking | None = None) -> int:
    """Ship everything that the journal holds now; the number of records. masking: default by the committed policy. Raises StateError where
    the log cannot be written."""
    if masking is None:
        with closing(open_masking()) as committed:
            return ship(journal, log, committed)
    shipped = 0
    while count := _ship_once(journal, log, masking):
        shipped += count
    return shipped


def open_masking(data_classes: Path | None = None, subject_keys: Path | None = None, environment: Mapping[str, str] = os.environ) -> Masking:
    """By the policy in a file, in $PRESAGE_DATA_CLASSES, or the committed one. Raises InputError."""
    return Masking(read_classes(data_classes, environment), FreeText(), partial(open_subjects, subject_keys, environment))


def _ship_once(journal: Path, log: Path, masking: Masking) -> int:
    part = next_round(journal, CHUNK_RECORDS)
    if part is None:
        return 0
    begin_round(journal, part)
    with collector_at_rest():
        _write_files(log, f"{part.name}.parquet", part.writer, part.frames, masking)
    finish_round(journal, part)
    return part.records


def _write_files(log: Path, name: str, writer: Writer, chunk: list[Frame], masking: Masking) -> None:
    """A frame holds the snapshots that its decisions read first, so a snapshot belongs to the day of its frame's first decision."""
    decisions: dict[date, list[list[Any]]] = defaultdict(list)
    snapshots: dict[date, list[list[Any]]] = defaultdict(list)
    for frame in chunk:
        rows = frame.rows
        seen = next((row[_TIME] for row in rows if row[0] == "d"), None)
        for row in rows:
            if row[0] == "d":
                decisions[_day(row[_TIME])].append(row[1:])
            else:
                read = row[2] if seen is None else seen
                snapshots[_day(read)].append([*row[1:], read])
    # Snapshots first: whoever reads a decision then finds what it read.
    for day, part in snapshots.items():
        columns = snapshot_columns([row[:-1] for row in part], [row[-1] for row in part])
        masking.snapshots(columns, writer)
        _write(log, partition(log, "snapshots", day, writer.region) / name, snapshots_frame(columns, writer), writer)
    for day, part in decisions.items():
        columns = decision_columns(part)
        masking.decisions(columns, writer)
        _write(log, partition(log, "decisions", day, writer.region) / name, decisions_frame(columns, writer), writer)


def _write(log: Path, path: Path, frame: "pl.DataFrame", writer: Writer) -> None:
    with written_aside(path) as aside:
        write_frame(frame, aside, writer)
    sync_folders(path.parent, log)  # the journal lets go of these records next, and lies on another disk, perhaps


def _day(seconds: float) -> date:
    return _day_that_begins(seconds // 86400 * 86400)


@lru_cache(maxsize=64)
def _day_that_begins(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()


def follow(ship_all: Callable[[], int], every: float, until: IO[bytes]) -> None:
    """Ship every `every` seconds until `until` (the server's pipe) is closed, then once more."""
    while not select.select([until], [], [], every)[0]:
        try:
            ship_all()
        except PresageError as error:  # the journal keeps what could not be shipped; the next round tries again
            print(error.message, file=sys.stderr, flush=True)
    ship_all()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m inference.journal.ship", description="Move predictions from a journal to the prediction log.")
    parser.add_argument("journal", type=Path)
    parser.add_argument("prediction_log", type=Path)
    parser.add_argument("--follow", type=float, metavar="SECONDS", help="ship at this interval until standard input closes, then once more")
    parser.add_argument("--data_classes", type=Path, metavar="FILE", help="policy of what the log may hold; default: $PRESAGE_DATA_CLASSES, or as committed")
    parser.add_argument("--subject_keys", type=Path, metavar="FILE", help="keys of subjects; default: $PRESAGE_SUBJECT_KEYS, or in the state directory")
    options = parser.parse_args()
    try:
        journal_id(options.journal)
        with closing(open_masking(options.data_classes, options.subject_keys)) as masking, (options.journal / "ship.lock").open("ab") as lock:
            os.fchmod(lock.fileno(), 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)  # waits for the shipper of a server that has just died
            if options.follow is None:
                print(f"{ship(options.journal, options.prediction_log, masking)} records shipped")
            else:
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)  # the server decides: it closes the pipe when the last record is in
                os.nice(BEHIND_THE_SERVER)
                follow(partial(ship, options.journal, options.prediction_log, masking), options.follow, sys.stdin.buffer)
    except PresageError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{error.filename or options.prediction_log}: {error.strerror}. Nothing is lost: the journal keeps what is not shipped.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
