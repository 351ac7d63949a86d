"""The journal's levels, and what every one of them offers the path.

    journal = open_journal("disk", folder, Writer("incident", "7", digest, "eu-central"))
    journal.append(records, then)
    journal.close()

    level        `then(None)` comes after                   survives
    process      one write to the kernel                    the death of the process
    disk         a sync that covers it (group commit)       loss of power; the Pod, where its volume stays
    replicated   the event log's acknowledgement            the Pod with its volume
"""

from collections.abc import Callable, Mapping, Sequence
from os import environ
from pathlib import Path
from typing import Literal, Protocol

from inference.journal.record import AnyRecord, Writer
from presage.errors import StateError

Level = Literal["process", "disk", "replicated"]
Then = Callable[[StateError | None], None]


class Journal(Protocol):
    """One process's hold on a journal folder. level: see above."""

    level: str

    def append(self, records: Sequence[AnyRecord], then: Then) -> None:
        """`then` once, on the caller's thread: None = the records survive what the level promises; else why they do not, and then no answer
        may leave. `process` calls it before this returns, and so does every level where no event loop runs."""

    def lag(self) -> int:
        """Records that the prediction log has not yet."""

    def close(self) -> None:
        """Keep what waits, and let the folder go."""


def open_journal(
    level: Level, folder: Path, writer: Writer, *, replica: str | None = None, environment: Mapping[str, str] = environ
) -> Journal:  # fmt: skip
    """The journal in `folder`, made where it is missing. replica: URL of the event log, for `replicated` alone (`process:unix:PATH`,
    `process:127.0.0.1:9400`).

    Raises StateError where another process writes there, where it cannot be written, or where no replica is named.
    """
    from inference.journal.copies import name_replica, require_event_log

    if level == "replicated":
        from inference.journal.replicated import ReplicatedJournal

        return ReplicatedJournal.open(folder, writer, require_event_log(replica, environment))
    if level == "disk":
        from inference.journal.disk import DiskJournal

        journal: Journal = DiskJournal.open(folder, writer)
    else:
        from inference.journal import writer as process

        journal = process.Journal.open(folder, writer)
    name_replica(folder, None)
    return journal
