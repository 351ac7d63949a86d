"""What the level `replicated` puts into the event log, and how it is read there.

    topic predictions   key = the journal's id: frames as they lie in the journal, in order, and where each round of shipping begins
    topic writers       key = digest of a segment's head, value = the head: who answered, named by every frame

A frame may be there twice (an acknowledgement was lost and the log cannot tell): readers drop ordinals that they have.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inference.journal.segments import FRAME
from presage.errors import StateError
from presage.events.log import Event, EventLog, Position, open_event_log
from presage.files import read_json, sha256_bytes, write_json

TOPIC, PARTITIONS = "predictions", 4
WRITERS = "writers"
_REPLICA = "replica.json"


class Copied(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="c"):
    """A frame of the journal. head: digest of its segment's head."""

    head: str
    frame: bytes

    @property
    def ordinal(self) -> int:
        return int(FRAME.unpack_from(self.frame)[3])

    @property
    def following(self) -> int:
        _, _, count, ordinal = FRAME.unpack_from(self.frame)
        return int(ordinal + count)


class Shipping(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="s"):
    """All records before `ordinal` are in the prediction log; files of the round that begins there may be."""

    ordinal: int


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Copied | Shipping).decode


def copied(head: str, frame: bytes) -> bytes:
    return _encode(Copied(head, frame))


def head_digest(head: bytes) -> str:
    return sha256_bytes(head)[:16]


def open_predictions(url: str, producer: str, patience: float) -> EventLog:
    """Raises StateError, UsageError."""
    return open_event_log(url, TOPIC, PARTITIONS, producer=producer, patience=patience)


def keep_heads(url: str, heads: dict[str, bytes], patience: float) -> None:
    """Before the first frame that names them. Raises StateError."""
    with closing(open_event_log(url, WRITERS, 1, patience=patience)) as writers:
        writers.append(list(heads.items()))


def read_heads(url: str) -> dict[str, bytes]:
    with closing(open_event_log(url, WRITERS, 1)) as writers:
        return {event.key: event.value for event in events(writers, 0)}


def events(log: EventLog, partition: int, offset: int = 0) -> Iterator[Event]:
    """From `offset` to the end."""
    while page := log.read(partition, offset):
        yield from page
        offset = page[-1].offset + 1


@dataclass
class Tail:
    """What the log knows of one journal. following: the ordinal after its last record, None = never heard of; last: where its last copy
    lies."""

    following: int | None = None
    last: Position | None = None


def tail_of(log: EventLog, journal: str) -> Tail:
    """Read from where the journal's writer last committed that it had come to."""
    tail = Tail()
    for partition, offset in log.committed(_group(journal)).items():
        for event in events(log, partition, offset):
            if event.key != journal:
                continue
            value = decode(event.value)
            if isinstance(value, Copied):
                tail.following, tail.last = max(tail.following or 0, value.following), Position(partition, event.offset)
            else:
                tail.following = max(tail.following or 0, value.ordinal)
    return tail


def remember(log: EventLog, journal: str, last: Position) -> None:
    """The journal's last copy lies there, or did: `tail_of` begins with it."""
    log.commit(_group(journal), {last.partition: last.offset})


def _group(journal: str) -> str:
    return f"journal-{journal}"


def name_replica(folder: Path, url: str | None) -> None:
    """Write down for the shipper where this journal is copied to; None = nowhere any more."""
    if url is None:
        (folder / _REPLICA).unlink(missing_ok=True)
    else:
        write_json(folder / _REPLICA, {"event_log": url})


def announce(folder: Path, journal: str, ordinal: int, patience: float = 10.0) -> None:
    """Say where a round of shipping begins, before a file of it is written; nothing where the journal is copied nowhere. Raises StateError."""
    try:
        url = read_json(folder / _REPLICA)["event_log"]
    except FileNotFoundError:
        return
    announce_to(url, journal, ordinal, patience)


def announce_to(url: str, journal: str, ordinal: int, patience: float = 10.0) -> None:
    with closing(open_predictions(url, "", patience)) as log:
        log.append([(journal, _encode(Shipping(ordinal)))])


def require_event_log(url: str | None, environment: Mapping[str, str]) -> str:
    """Where the level `replicated` copies to. Raises StateError where nothing is named, or what is named does not exist yet."""
    bootstrap = environment.get("PRESAGE_KAFKA_BOOTSTRAP")
    if bootstrap:
        raise StateError(
            f"PRESAGE_KAFKA_BOOTSTRAP names {bootstrap}, but this version has no Kafka implementation of the event log. Unset it, and name a process "
            "that keeps the log with --journal_replica (python -m inference.journal.replica), or choose journal: disk in the model's policy."
        )
    if not url:
        raise StateError(
            "The model's policy asks for journal: replicated, and no replica is named. Start python -m inference.journal.replica and name it with "
            "--journal_replica process:ADDRESS."
        )
    return url
