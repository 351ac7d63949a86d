"""`python -m inference.journal.ship JOURNAL PREDICTION_LOG`: moves records from a journal to the prediction log.

The log is Parquet, `day=YYYY-MM-DD/region=R/<journal>.<segment>-<offset>.parquet`. A file's name follows from where its
records began, and a file is whole or absent, so shipping the same place twice replaces a file and never adds a record.
A position is written after its files; a segment is removed when it is shipped and no longer written.

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
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from inference.journal.record import Record, Writer
from inference.journal.segments import Frame, Position, journal_id, read_position, read_segment, segments, write_position
from presage.errors import InputError, PresageError
from presage.files import written_aside

if TYPE_CHECKING:
    import polars as pl

_TIME = Record.__struct_fields__.index("time")
BEHIND_THE_SERVER = 10
"""Niceness of a shipper that follows a server: where they share a core answers go first, the journal can wait."""
CHUNK_RECORDS = 50_000
"""Most records in one round of files: bounds this process's memory."""


def ship(journal: Path, log: Path) -> int:
    """Ship everything that the journal holds now; the number of records. Raises StateError where the log cannot be written."""
    shipped = 0
    while count := _ship_once(journal, log):
        shipped += count
    return shipped


def _ship_once(journal: Path, log: Path) -> int:
    position = read_position(journal)
    pending = [(number, path) for number, path in segments(journal) if number >= position.number]
    for index, (number, path) in enumerate(pending):
        offset = position.offset if number == position.number else 0
        writer, frames = read_segment(path, offset)
        chunk = list(_first(frames))
        if writer is not None and chunk:
            _check_follows(path, position.records, chunk[0])
            rows = [row for frame in chunk for row in frame.rows]
            _write_files(log, path.name.removesuffix(".journal") + f"-{chunk[0].offset:010d}", writer, rows)
            write_position(journal, Position(number, chunk[-1].end, position.records + len(rows)))
            return len(rows)
        if index + 1 < len(pending):  # a later segment exists, so nothing is added to this one
            _check_follows(pending[index + 1][1], position.records)
            write_position(journal, Position(pending[index + 1][0], 0, position.records))
            path.unlink()
            return _ship_once(journal, log)
    return 0


def _check_follows(path: Path, expected: int, frame: Frame | None = None) -> None:
    """Raises InputError where records between `expected` and this segment's next are missing: nothing is skipped in silence."""
    frame = frame or next(read_segment(path)[1], None)
    if frame is not None and frame.ordinal != expected:
        raise InputError(f"{path}: its records begin with {frame.ordinal}, {expected} is due: a segment is damaged or missing. Restore the journal folder.")


def _first(frames: Iterator[Frame]) -> Iterator[Frame]:
    count = 0
    for frame in frames:
        yield frame
        count += frame.length
        if count >= CHUNK_RECORDS:
            return


def _write_files(log: Path, name: str, writer: Writer, rows: list[list[Any]]) -> None:
    days: dict[int, list[list[Any]]] = defaultdict(list)
    for row in rows:
        days[int(row[_TIME] // 86400)].append(row)
    for day, part in days.items():
        date = datetime.fromtimestamp(day * 86400, UTC).date().isoformat()
        with written_aside(log / f"day={date}" / f"region={writer.region}" / f"{name}.parquet") as aside:
            table(writer, part).write_parquet(aside, compression="zstd")


def table(writer: Writer, rows: list[list[Any]]) -> "pl.DataFrame":
    """The prediction log's columns, one row a record; times in UTC, microseconds.

    rows: records as lists, fields in `Record`'s order.
    """
    import polars as pl

    text, number, moment = pl.String(), pl.Float64(), pl.Datetime("us", "UTC")
    types: dict[str, pl.DataType] = {
        "prediction_id": text, "time": moment, "endpoint": text, "caller_id": text, "rung": text, "server": text,
        "feature_version": text, "feature_time": moment, "score": number, "risk": number, "low": number, "high": number,
        "tier": text, "warming": pl.Boolean(), "clipped": pl.Int64(),
    }  # fmt: skip
    columns: dict[str, Sequence[Any]] = dict(zip(Record.__struct_fields__, zip(*rows, strict=True), strict=True))
    for name in ("time", "feature_time"):
        columns[name] = [None if second is None else round(second * 1e6) for second in columns[name]]
    known = pl.DataFrame([pl.Series(name, columns[name], kind) for name, kind in types.items()])
    who = [pl.lit(getattr(writer, name)).alias(name) for name in ("model", "version", "release")]
    return known.with_columns(_reasons(columns["reasons"]), *who)


def _reasons(given: Sequence[list[tuple[str, float]]]) -> "pl.Series":
    """A list of {feature, contribution} a record; built flat, then grouped: a struct at a time takes twenty times as long."""
    import polars as pl

    flat = [(record, feature, share) for record, reasons in enumerate(given) for feature, share in reasons]
    schema = {"record": pl.Int64(), "feature": pl.String(), "contribution": pl.Float64()}
    grouped = pl.DataFrame(flat, schema, orient="row").group_by("record", maintain_order=True).agg(pl.struct("feature", "contribution").alias("reasons"))
    records = pl.DataFrame({"record": range(len(given))}, schema={"record": pl.Int64()})
    return records.join(grouped, on="record", how="left", maintain_order="left")["reasons"].fill_null([])


def follow(journal: Path, log: Path, every: float, until: IO[bytes]) -> None:
    """Ship every `every` seconds until `until` (the server's pipe) is closed, then once more."""
    while not select.select([until], [], [], every)[0]:
        try:
            ship(journal, log)
        except PresageError as error:  # the journal keeps what could not be shipped; the next round tries again
            print(error.message, file=sys.stderr, flush=True)
    ship(journal, log)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m inference.journal.ship", description="Move predictions from a journal to the prediction log.")
    parser.add_argument("journal", type=Path)
    parser.add_argument("prediction_log", type=Path)
    parser.add_argument("--follow", type=float, metavar="SECONDS", help="ship at this interval until standard input closes, then once more")
    options = parser.parse_args()
    try:
        journal_id(options.journal)
        with (options.journal / "ship.lock").open("ab") as lock:
            os.fchmod(lock.fileno(), 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)  # waits for the shipper of a server that has just died
            if options.follow is None:
                print(f"{ship(options.journal, options.prediction_log)} records shipped")
            else:
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)  # the server decides: it closes the pipe when the last record is in
                os.nice(BEHIND_THE_SERVER)
                follow(options.journal, options.prediction_log, options.follow, sys.stdin.buffer)
    except PresageError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{error.filename or options.prediction_log}: {error.strerror}. Nothing is lost: the journal keeps what is not shipped.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
