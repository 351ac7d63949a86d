"""The journal's levels as the path sees them: when `then` is called, with what, and never twice."""

import asyncio
import signal
import threading
from contextlib import closing
from functools import partial

import pytest
from builders.journals import WRITER, decision, decisions, journalled, logged, snapshot

from benchmarks.replica_process import Replica
from inference.journal.copies import Copied, announce_to, decode, events, open_predictions, tail_of
from inference.journal.disk import DiskJournal
from inference.journal.group import Cut, GroupCommit
from inference.journal.levels import open_journal
from inference.journal.replicated import ReplicatedJournal
from inference.journal.restore import outstanding, restore
from inference.journal.segments import journal_id, segments
from inference.journal.ship import ship
from presage.errors import InputError, StateError
from presage.events.log import open_event_log


async def kept(journal, records):
    """What the journal says of these records."""
    answer = asyncio.get_running_loop().create_future()
    journal.append(records, answer.set_result)
    return await answer


def copies(replica, journal):
    """Ordinals that the replica has of a journal, in its order."""
    with closing(open_predictions(replica.url, "", 10.0)) as log:
        values = [decode(event.value) for partition in log.bounds() for event in events(log, partition) if event.key == journal]
    return [ordinal for value in values if isinstance(value, Copied) for ordinal in range(value.ordinal, value.following)]


@pytest.fixture
def replica(tmp_path):
    with Replica(tmp_path / "replica") as running:
        yield running


def test_every_level_keeps_what_it_was_given_with_a_loop_and_without(tmp_path, replica):
    for level in ("process", "disk", "replicated"):
        folder = tmp_path / level
        journal = open_journal(level, folder, WRITER, replica=replica.url, environment={})
        assert journal.level == level
        told = []
        journal.append(decisions(0, 1), told.append)
        assert told == [None]

        async def ask(journal=journal):
            return await asyncio.gather(*(kept(journal, decisions(number)) for number in range(2, 40)))

        assert set(asyncio.run(ask())) == {None} and journal.lag() == 40
        journal.close()
        assert journalled(folder) == [f"id-{number}" for number in range(40)]
        assert ship(folder, tmp_path / f"log-{level}") == 40 and logged(tmp_path / f"log-{level}") == [f"id-{number}" for number in range(40)]


def test_replicated_without_a_replica_or_with_a_kafka_that_is_not_there_says_so(tmp_path):
    with pytest.raises(StateError, match="no replica is named"):
        open_journal("replicated", tmp_path, WRITER, environment={})
    with pytest.raises(StateError, match="has no Kafka implementation of the event log"):
        open_journal("replicated", tmp_path, WRITER, replica="process:127.0.0.1:1", environment={"PRESAGE_KAFKA_BOOTSTRAP": "kafka:9092"})


class Gate:
    """A `keep` that waits until it is let through, in the worker's thread; outcomes are given from outside."""

    def __init__(self):
        self.groups, self.entered, self.open = [], threading.Semaphore(0), threading.Semaphore(0)
        self.outcome = None

    def __call__(self, records, since):
        self.groups.append(records)
        self.entered.release()
        self.open.acquire()
        if self.outcome is not None:
            raise self.outcome


def test_while_one_group_is_synced_the_next_one_gathers():
    gate = Gate()
    group = GroupCommit(gate)

    async def ask():
        loop = asyncio.get_running_loop()
        told = []
        group.append(["a"], lambda error: told.append(("a", error)))
        await loop.run_in_executor(None, gate.entered.acquire)
        for name in "bcd":
            group.append([name], lambda error, name=name: told.append((name, error)))
        assert told == []
        gate.open.release()
        await loop.run_in_executor(None, gate.entered.acquire)
        gate.open.release()
        while len(told) < 4:
            await asyncio.sleep(0)
        return told

    assert asyncio.run(ask()) == [(name, None) for name in "abcd"]
    assert gate.groups == [["a"], ["b", "c", "d"]]
    group.close()


@pytest.mark.parametrize(("failure", "mends"), [(StateError("no room"), False), (Cut("no connection"), True)])
def test_a_full_disk_needs_no_mending_and_a_lost_connection_does(failure, mends):
    """A prediction asked for right after space was made is not refused because of the one before."""
    outcomes, mended, mendable = [failure, None], [], threading.Event()

    def keep(records, since):
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome

    def mend():
        mended.append(True)
        if not mendable.is_set():
            raise Cut("no connection")

    group = GroupCommit(keep, mend)

    async def ask():
        loop = asyncio.get_running_loop()

        def append():
            outcome = loop.create_future()
            group.append(["a"], outcome.set_result)
            return outcome

        assert await append() is failure
        await asyncio.sleep(0)
        if mends:
            assert await append() is failure and len(outcomes) == 1
            mendable.set()
            while (error := await append()) is not None:
                assert error is failure
                await asyncio.sleep(0.01)
        else:
            assert await append() is None
        assert bool(mended) == mends

    asyncio.run(ask())
    group.close()


def test_a_failure_refuses_all_that_wait_and_all_that_come_before_it_was_told():
    """Records that wait may name a row that only the refused ones carried."""
    gate = Gate()
    gate.outcome = StateError("no room")
    group = GroupCommit(gate)

    async def ask():
        loop = asyncio.get_running_loop()
        told = []

        def then(name, error):
            told.append((name, error is None))

        group.append(["a"], partial(then, "a"))
        await loop.run_in_executor(None, gate.entered.acquire)
        group.append(["waits"], partial(then, "waits"))
        gate.open.release()
        while group._broken is None:  # the worker has failed; this loop was not told yet, for it has not come round
            pass
        gate.outcome = None
        group.append(["too early"], partial(then, "too early"))
        assert told == [("too early", False)]
        while len(told) < 3:
            await asyncio.sleep(0)
        group.append(["later"], partial(then, "later"))
        await loop.run_in_executor(None, gate.entered.acquire)
        gate.open.release()
        while len(told) < 4:
            await asyncio.sleep(0)
        return told

    assert asyncio.run(ask()) == [("too early", False), ("a", False), ("waits", False), ("later", True)]
    group.close()


def test_closing_keeps_what_waits_and_tells_those_whose_loop_has_ended(tmp_path):
    journal = DiskJournal.open(tmp_path / "journal", WRITER)
    told = []

    async def ask():
        journal.append(decisions(0), told.append)

    asyncio.run(ask())
    journal.close()
    assert journalled(tmp_path / "journal") == ["id-0"] and len(told) <= 1
    assert told in ([], [None])  # [] where the loop had taken the call and ended before it ran it


def test_a_replica_that_is_killed_and_started_again_in_time_is_not_noticed_by_anybody(tmp_path, replica):
    journal = ReplicatedJournal.open(tmp_path / "journal", WRITER, replica.url, patience=30)

    async def ask():
        assert await kept(journal, decisions(0)) is None
        replica.kill()
        waiting = asyncio.create_task(kept(journal, decisions(1, 2)))
        await asyncio.get_running_loop().run_in_executor(None, replica.start)
        assert await waiting is None

    asyncio.run(ask())
    assert copies(replica, journal_id(journal.folder)) == [0, 1, 2]
    journal.close()


def test_an_answer_waits_no_longer_than_the_patience_and_none_is_given_while_the_replica_is_away(tmp_path, replica):
    journal = ReplicatedJournal.open(tmp_path / "journal", WRITER, replica.url, patience=0.3)

    async def ask():
        assert await kept(journal, decisions(0)) is None
        replica.signal(signal.SIGSTOP)  # it takes the connection, and says nothing
        error = await kept(journal, decisions(1))
        assert "does not answer in time" in error.message
        told = []
        journal.append(decisions(2), told.append)
        assert told[0] is not None  # at once: nobody waits for a log that is known to be away
        replica.signal(signal.SIGCONT)
        while await kept(journal, decisions(3)) is not None:
            await asyncio.sleep(0.01)

    asyncio.run(ask())
    identity = journal_id(journal.folder)
    journal.close()
    # 1 was refused and may have arrived: it is there once, as in the local journal; 2 was never written.
    assert copies(replica, identity) == [0, 1, 2] and journalled(tmp_path / "journal") == ["id-0", "id-1", "id-3"]


@pytest.mark.long
def test_an_append_whose_acknowledgement_was_lost_is_not_added_twice(tmp_path, replica):
    """The replica stops after it has read the request; the journal gives up and asks again on a new connection."""
    journal = ReplicatedJournal.open(tmp_path / "journal", WRITER, replica.url, patience=0.2)
    identity = journal_id(journal.folder)

    async def ask():
        for number in range(20):
            replica.signal(signal.SIGSTOP)
            await kept(journal, decisions(number))
            replica.signal(signal.SIGCONT)
            while await kept(journal, decisions(1000 + number)) is not None:
                await asyncio.sleep(0.01)

    asyncio.run(ask())
    found = copies(replica, identity)
    assert found == list(range(len(found)))
    journal.close()


def test_what_an_earlier_opening_has_still_on_its_way_is_refused(replica):
    older = open_event_log(replica.url, "predictions", producer="journal")
    newer = open_event_log(replica.url, "predictions", producer="journal")
    with pytest.raises(StateError, match="opened predictions again since"):
        older.append([("journal", b"late")])
    assert newer.append([]) == []
    older.close(), newer.close()


def test_a_server_that_starts_before_its_replica_answers_nothing_until_it_is_there(tmp_path):
    with Replica(tmp_path / "replica") as replica:
        replica.kill()
        journal = ReplicatedJournal.open(tmp_path / "journal", WRITER, replica.url)

        async def ask():
            assert "cannot be reached" in (await kept(journal, decisions(0))).message
            await asyncio.get_running_loop().run_in_executor(None, replica.start)
            while await kept(journal, decisions(1)) is not None:
                await asyncio.sleep(0.01)

        asyncio.run(ask())
        journal.close()
        assert journalled(tmp_path / "journal") == ["id-1"]


def test_what_was_written_here_and_not_copied_is_copied_by_the_next_process(tmp_path, replica):
    first = open_journal("process", tmp_path / "journal", WRITER)
    first.append(decisions(0, 1), lambda error: None)
    first.close()
    second = open_journal("replicated", tmp_path / "journal", WRITER, replica=replica.url, environment={})
    assert copies(replica, journal_id(tmp_path / "journal")) == [0, 1]
    second.close()


def test_what_a_cut_took_here_and_the_replica_has_is_written_here_again(tmp_path, replica):
    folder = tmp_path / "journal"
    journal = ReplicatedJournal.open(folder, WRITER, replica.url)
    for number in range(5):
        journal.append(decisions(number), lambda error: None)
    journal.close()
    [(_, path)] = segments(folder)
    path.write_bytes(path.read_bytes()[:-700])  # what was not synced
    assert len(journalled(folder)) < 5
    again = ReplicatedJournal.open(folder, WRITER, replica.url)
    again.append(decisions(5), lambda error: None)
    again.close()
    assert journalled(folder) == [f"id-{number}" for number in range(6)]
    assert copies(replica, journal_id(folder)) == list(range(6))
    ship(folder, tmp_path / "log")
    assert logged(tmp_path / "log") == [f"id-{number}" for number in range(6)]


def test_the_replica_forgets_what_is_shipped_and_only_that(tmp_path, replica):
    one, other = (ReplicatedJournal.open(tmp_path / name, WRITER, replica.url) for name in ("one", "other"))
    for number in range(10):
        one.append(decisions(number), lambda error: None)
        other.append(decisions(100 + number), lambda error: None)
    ship(one.folder, tmp_path / "log")
    assert len(copies(replica, journal_id(one.folder))) == 10  # the round's end is not known yet: its files may have to be replaced
    one.append(decisions(10), lambda error: None)
    ship(one.folder, tmp_path / "log")
    other.close()
    one.close()  # at zero lag
    with closing(open_predictions(replica.url, "", 10.0)) as log:
        assert [(entry.journal, entry.begin, entry.following) for entry in outstanding(log)] == [(journal_id(other.folder), 0, 10)]
        assert tail_of(log, journal_id(other.folder)).following == 10


@pytest.mark.parametrize("shipped", [0, 1, 2], ids=["nothing shipped", "one round", "a round whose end was lost"])
def test_a_journal_is_restored_from_its_copies_and_shipped_once(tmp_path, replica, shipped):
    folder, log = tmp_path / "journal", tmp_path / "log"
    journal = ReplicatedJournal.open(folder, WRITER, replica.url)
    identity = journal_id(folder)
    journal.append([snapshot("server-0"), decision(0)], lambda error: None)
    if shipped:
        ship(folder, log)
    journal.append(decisions(1, 2), lambda error: None)
    if shipped == 2:
        ship(folder, log)
    journal.append(decisions(3), lambda error: None)
    journal._held.close()  # the Pod is gone, and its volume with it; only what it left elsewhere counts from here on
    restored, entry = restore(replica.url, identity, tmp_path / "restored")
    assert ship(restored, log) == entry.following - entry.begin
    announce_to(replica.url, identity, entry.following)
    assert sorted(logged(log)) == [f"id-{number}" for number in range(4)]
    with pytest.raises(InputError, match="nothing of a journal"):
        restore(replica.url, identity, tmp_path / "again")


def test_two_replicas_of_one_folder_and_a_foreign_address_are_refused(tmp_path, replica):
    with pytest.raises(RuntimeError, match="another process keeps these copies"):
        Replica(replica.folder)
    with pytest.raises(RuntimeError, match="no address of an event log"):
        Replica(tmp_path / "other", "0.0.0.0:0")
