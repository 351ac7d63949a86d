"""What every event log promises, held against each implementation."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.replica_process import Replica
from presage.errors import StateError, UsageError
from presage.events.log import EventLog, Position, open_event_log

URLS = {"embedded": "sqlite:{folder}", "another process": "process:{address}"}
Open = Callable[..., EventLog]


@pytest.fixture(params=sorted(URLS))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "embedded":
        yield URLS[request.param].format(folder=tmp_path / "events")
    else:
        with Replica(tmp_path / "events") as replica:
            yield URLS[request.param].format(address=replica.address)


@pytest.fixture
def open_log(url: str) -> Iterator[Open]:
    opened: list[EventLog] = []

    def open_one(topic: str = "telemetry", partitions: int = 4) -> EventLog:
        opened.append(open_event_log(url, topic, partitions))
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()


def everything(log: EventLog) -> list[tuple[str, bytes]]:
    return [(event.key, event.value) for partition in range(log.partitions) for event in log.read(partition, 0, limit=100_000)]


def test_what_was_appended_is_read_back_where_append_said(open_log: Open) -> None:
    log = open_log()
    records = [(f"server-{number % 7}", bytes([number])) for number in range(100)]
    positions = log.append(records)
    for position, record in zip(positions, records, strict=True):
        [event] = log.read(position.partition, position.offset, limit=1)
        assert (event.partition, event.offset, event.key, event.value) == (position.partition, position.offset, *record)


def test_a_key_keeps_its_partition_and_its_order(open_log: Open) -> None:
    log = open_log()
    log.append([(f"server-{number % 5}", str(number).encode()) for number in range(50)])
    log.append([(f"server-{number % 5}", str(number).encode()) for number in range(50, 100)])
    for key in (f"server-{number}" for number in range(5)):
        homes = [(partition, [int(event.value) for event in log.read(partition, 0) if event.key == key]) for partition in range(log.partitions)]
        found = [numbers for _, numbers in homes if numbers]
        assert len(found) == 1
        assert found[0] == list(range(int(key[-1]), 100, 5))


def test_offsets_count_on_without_gaps(open_log: Open) -> None:
    log = open_log(partitions=1)
    assert log.append([("a", b"0"), ("b", b"1")]) == [Position(0, 0), Position(0, 1)]
    assert log.append([("c", b"2")]) == [Position(0, 2)]
    assert log.append([]) == []
    assert log.bounds() == {0: (0, 3)}


def test_reading_stops_at_the_limit_and_is_empty_at_the_end(open_log: Open) -> None:
    log = open_log(partitions=1)
    log.append([("a", str(number).encode()) for number in range(10)])
    assert [event.offset for event in log.read(0, 4, limit=3)] == [4, 5, 6]
    assert log.read(0, 10) == []


def test_each_group_goes_on_where_it_committed(open_log: Open) -> None:
    log = open_log(partitions=2)
    log.append([(f"server-{number}", b"x") for number in range(20)])
    assert log.committed("features") == {0: 0, 1: 0}
    log.commit("features", {0: 3})
    log.commit("shipper", {0: 1, 1: 2})
    log.close()
    again = open_log(partitions=2)
    assert again.committed("features") == {0: 3, 1: 0}
    assert again.committed("shipper") == {0: 1, 1: 2}


def test_trimming_forgets_old_events_and_offsets_never_restart(open_log: Open) -> None:
    log = open_log(partitions=1)
    log.append([("a", str(number).encode()) for number in range(10)])
    log.commit("slow", {0: 2})
    assert log.trim({0: 6}) == 6
    assert [event.offset for event in log.read(0, 0)] == [6, 7, 8, 9]
    assert log.committed("slow") == {0: 6}
    assert log.trim({0: 99}) == 4
    assert log.bounds() == {0: (10, 10)}
    log.close()
    assert open_log(partitions=1).append([("a", b"10")]) == [Position(0, 10)]


def test_topics_do_not_see_each_other(open_log: Open) -> None:
    telemetry, scores = open_log("telemetry"), open_log("scores")
    telemetry.append([("a", b"reading")])
    assert everything(scores) == []


def test_a_reader_sees_what_another_instance_appends(open_log: Open) -> None:
    writer, reader = open_log(), open_log()
    [position] = writer.append([("a", b"x")])
    assert [event.value for event in reader.read(position.partition, position.offset)] == [b"x"]


def test_writers_side_by_side_lose_and_overwrite_nothing(open_log: Open) -> None:
    def write(name: str, log: EventLog) -> None:
        for number in range(40):
            log.append([(f"{name}-{number % 3}", f"{name}{number}".encode())])

    writers = [threading.Thread(target=write, args=(name, open_log())) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    log = open_log()
    assert sorted(value for _, value in everything(log)) == sorted(f"{name}{number}".encode() for name in "abc" for number in range(40))
    assert all(next_ - first == len(log.read(partition, first, limit=1000)) for partition, (first, next_) in log.bounds().items())


WRITER = """
import sys
from presage.events.log import open_event_log
log = open_event_log(sys.argv[1], "telemetry")
number = 0
while True:
    batch = [(f"server-{number % 5}", str(number + step).encode()) for step in range(3)]
    log.append(batch)
    number += 3
    print(number, flush=True)
"""


def test_killing_a_writer_loses_nothing_acknowledged(url: str, open_log: Open) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(30):
        assert writer.stdout.readline()
    writer.kill()
    acknowledged = 90 + 3 * len(writer.stdout.readlines())
    writer.wait()
    kept = sorted(int(value) for _, value in everything(open_log()))
    assert kept == list(range(len(kept)))  # whole batches, no gap
    assert len(kept) % 3 == 0
    assert len(kept) >= acknowledged


def test_another_number_of_partitions_is_refused(open_log: Open) -> None:
    open_log(partitions=4).close()
    with pytest.raises(StateError, match="was made with 4 partitions, not 8"):
        open_log(partitions=8)


@pytest.mark.parametrize(("url", "topic"), [("kafka:localhost", "telemetry"), ("sqlite:", "telemetry"), ("sqlite:events", "../telemetry")])
def test_a_log_that_cannot_be_is_a_usage_error(url: str, topic: str) -> None:
    with pytest.raises(UsageError):
        open_event_log(url, topic)
