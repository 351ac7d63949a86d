"""`python -m inference.journal.restore EVENT_LOG`: what the event log still has of journals whose Pod and volume are gone.

    python -m inference.journal.restore process:127.0.0.1:9400                                         what is there
    python -m inference.journal.restore process:127.0.0.1:9400 --journal ID --into FOLDER              a journal folder again
    python -m inference.journal.restore process:127.0.0.1:9400 --journal ID --into FOLDER --ship LOG   and into the prediction log

A restored journal goes on where shipping began last, so that its files replace what the lost Pod's shipper may have left of that round:
nothing is in the log twice. Restore no journal whose server still runs: it ships its own.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from inference.journal.copies import Copied, announce_to, decode, events, open_predictions, read_heads
from inference.journal.record import Writer
from inference.journal.segments import Frame, Position, read_frame, read_head, write_position
from inference.journal.storage import Storage, sync_folder
from presage.errors import InputError, PresageError, StateError
from presage.events.log import EventLog
from presage.files import write_bytes


@dataclass
class Outstanding:
    """A journal of which copies are here that are not known to be shipped. begin: where shipping began last; following: after the last copy."""

    journal: str
    begin: int = 0
    following: int = 0
    head: str = ""


def outstanding(log: EventLog) -> list[Outstanding]:
    """By id."""
    found: dict[str, Outstanding] = {}
    for partition in log.bounds():
        for event in events(log, partition):
            entry = found.setdefault(event.key, Outstanding(event.key))
            value = decode(event.value)
            if isinstance(value, Copied):
                entry.following, entry.head = max(entry.following, value.following), value.head
            else:
                entry.begin = max(entry.begin, value.ordinal)
    return [entry for _, entry in sorted(found.items()) if entry.following > entry.begin]


def restore(url: str, journal: str, into: Path) -> tuple[Path, Outstanding]:
    """A journal folder INTO/<id> like the one that was lost, from where shipping began last. Raises InputError, StateError."""
    with closing(open_predictions(url, "", 10.0)) as log:
        entry = next((entry for entry in outstanding(log) if entry.journal == journal), None)
        if entry is None:
            raise InputError(f"{url} has nothing of a journal {journal!r} that is not shipped. Name one that it lists.")
        folder = into / journal
        if folder.exists():
            raise InputError(f"{folder} exists already. Ship it (python -m inference.journal.ship), or name another folder.")
        folder.mkdir(mode=0o700, parents=True)
        write_bytes(folder / "journal.id", journal.encode())
        write_position(folder, Position(0, 0, entry.begin))
        _write_segments(folder, journal, _frames(log, entry), read_heads(url))
    return folder, entry


def _frames(log: EventLog, entry: Outstanding) -> Iterator[tuple[str, Frame]]:
    """Each frame once, in order."""
    expected = entry.begin
    for partition in log.bounds():
        for event in events(log, partition):
            value = decode(event.value) if event.key == entry.journal else None
            if not isinstance(value, Copied) or value.following <= expected:
                continue
            if value.ordinal > expected:
                raise StateError(f"the event log has nothing of journal {entry.journal} from {expected} to {value.ordinal}: its copies are damaged.")
            yield value.head, read_frame(value.frame)
            expected = value.following


def _write_segments(folder: Path, journal: str, frames: Iterator[tuple[str, Frame]], heads: dict[str, bytes]) -> None:
    """One segment a head."""
    storage, number, file, size, current = Storage(), 0, -1, 0, ""
    for head, frame in frames:
        if head != current or file < 0:
            if file >= 0:
                storage.sync(file)
                storage.close(file)
            if head not in heads:
                raise StateError(f"the event log does not say who wrote journal {journal}: {head} is missing among its writers.")
            number, current, size = number + 1, head, len(heads[head])
            file = storage.create(folder / f"{journal}.{number:08d}.journal")
            storage.write(file, heads[head], 0)
        size += storage.write(file, frame.content, size)
    if file >= 0:
        storage.sync(file)
        storage.close(file)
    sync_folder(folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m inference.journal.restore", description="Bring back journals whose Pod and volume are gone.")
    parser.add_argument("event_log", metavar="EVENT_LOG", help="process:ADDRESS of a running replica, or sqlite:FOLDER")
    parser.add_argument("--journal", action="append", default=[], metavar="ID", help="restore this one; may be given again")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="where journal folders are made")
    parser.add_argument("--ship", type=Path, metavar="LOG", help="ship them to this prediction log")
    options = parser.parse_args()
    if options.journal and options.into is None:
        parser.error("--journal needs --into")
    try:
        if not options.journal:
            return _list(options.event_log)
        for journal in options.journal:
            folder, entry = restore(options.event_log, journal, options.into)
            print(f"{folder}: {entry.following - entry.begin} records restored")
            if options.ship is not None:
                from inference.journal.ship import ship

                print(f"{folder}: {ship(folder, options.ship)} records shipped")
                announce_to(options.event_log, journal, entry.following)
    except PresageError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    return 0


def _list(url: str) -> int:
    with closing(open_predictions(url, "", 10.0)) as log:
        entries = outstanding(log)
    heads = read_heads(url) if entries else {}
    for entry in entries:
        writer: Writer | None = read_head(heads[entry.head]) if entry.head in heads else None
        print(f"{entry.journal}  {'' if writer is None else f'{writer.model}:{writer.version}'}  {entry.following - entry.begin} records")
    return 0


if __name__ == "__main__":
    sys.exit(main())
