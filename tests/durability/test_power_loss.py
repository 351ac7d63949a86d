"""What a loss of power takes, at every level: writes that were not synced are dropped at random moments, sector by sector."""

import asyncio
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from builders.journals import WRITER, decisions, logged
from builders.power import CuttableStorage
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.replica_process import Replica
from inference.journal.disk import DiskJournal
from inference.journal.record import AnyRecord
from inference.journal.replicated import ReplicatedJournal
from inference.journal.segments import read_losses, segments
from inference.journal.ship import ship
from inference.journal.writer import Journal
from presage.errors import StateError

Appending = Journal | DiskJournal | ReplicatedJournal
SEGMENTS = st.integers(200, 6000)
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("replica")) as running:
        yield running


def names_of(records: list[AnyRecord]) -> list[str]:
    return [record.prediction_id for record in records]


def append(journal: Appending, storage: CuttableStorage, records: list[AnyRecord]) -> None:
    def then(error: StateError | None) -> None:
        if error is None:
            storage.answered(names_of(records))

    journal.append(records, then)


def powered_again(folder: Path, storage: CuttableStorage, cut: int, luck: Random) -> None:
    """The folder is as the cut left it. What is no segment was synced when it was written."""
    for path in storage.created:
        (folder / path.name).unlink(missing_ok=True)
    for name, content in storage.after_cut(cut, luck).items():
        (folder / name).write_bytes(content)


def carry_on_and_ship(folder: Path, log: Path, records: list[AnyRecord]) -> list[str]:
    """The next process writes one record more and everything is shipped; ids in the log."""
    again = Journal.open(folder, WRITER)
    again.write(records)
    again.close()
    ship(folder, log)
    return logged(log)


@settings(max_examples=60, deadline=None)
@given(SEEDS, SEGMENTS, st.sampled_from([0.0, 0.0, 0.1, 0.4]))
@example(0, 200, 0.9)
def test_disk_loses_nothing_that_was_answered_whenever_the_power_goes(tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, fails: float) -> None:
    """Writes and syncs fail, too: what the journal then says to have kept it has."""
    luck = Random(seed)
    root = tmp_path_factory.mktemp("power")
    folder, log = root / "journal", root / "log"
    answered: set[str] = set()
    asked: set[str] = set()
    number = 0
    for _ in range(luck.randint(1, 3)):  # the power goes more than once
        storage = CuttableStorage(lambda call: luck.random() < fails)
        journal = DiskJournal.open(folder, WRITER, size, storage)
        for _ in range(luck.randint(1, 12)):
            batch = decisions(*range(number, number + luck.randint(1, 5)))
            number += len(batch)
            asked.update(names_of(batch))
            append(journal, storage, batch)
            if luck.random() < 0.1:
                ship(folder, log)
        journal.close()
        cut = luck.randint(0, len(storage.events))
        answered.update(storage.answered_before(cut))
        powered_again(folder, storage, cut, luck)
    last = decisions(number)
    kept = carry_on_and_ship(folder, log, last)
    assert len(kept) == len(set(kept))
    assert answered | set(names_of(last)) <= set(kept) <= asked | set(names_of(last))
    shutil.rmtree(root)


@settings(max_examples=30, deadline=None)
@given(SEEDS, SEGMENTS)
def test_group_commit_on_a_loop_answers_nothing_before_the_sync_that_covers_it(tmp_path_factory: pytest.TempPathFactory, seed: int, size: int) -> None:
    luck = Random(seed)
    root = tmp_path_factory.mktemp("group")
    storage = CuttableStorage()
    journal = DiskJournal.open(root / "journal", WRITER, size, storage)

    async def ask() -> None:
        every = [decisions(2 * number, 2 * number + 1) for number in range(60)]
        told = asyncio.Event()
        count = 0

        def then(names: list[str], error: StateError | None) -> None:
            nonlocal count
            assert error is None
            storage.answered(names)
            count += 1
            if count == len(every):
                told.set()

        for batch in every:
            journal.append(batch, partial(then, names_of(batch)))
            if luck.random() < 0.5:
                await asyncio.sleep(0)  # a tick of the loop
        await told.wait()

    asyncio.run(ask())
    journal.close()
    cut = luck.randint(0, len(storage.events))
    powered_again(root / "journal", storage, cut, luck)
    kept = carry_on_and_ship(root / "journal", root / "log", decisions(1000))
    assert len(kept) == len(set(kept)) and set(storage.answered_before(cut)) <= set(kept)
    shutil.rmtree(root)


@settings(max_examples=20, deadline=None)
@given(SEEDS, SEGMENTS)
def test_replicated_gets_back_from_the_log_what_a_cut_took_here(
    copies: Replica, tmp_path_factory: pytest.TempPathFactory, seed: int, size: int
) -> None:  # fmt: skip
    """Restarts and cuts in turn, segments of any size: everything answered is shipped from here, once."""
    luck = Random(seed)
    root = tmp_path_factory.mktemp("replicated")
    folder, log = root / "journal", root / "log"
    answered: set[str] = set()
    number = 0
    for _ in range(luck.randint(1, 3)):
        storage = CuttableStorage()
        for _ in range(luck.randint(1, 2)):
            journal = ReplicatedJournal.open(folder, WRITER, copies.url, segment_bytes=size, storage=storage)
            for _ in range(luck.randint(1, 8)):
                batch = decisions(*range(number, number + luck.randint(1, 4)))
                number += len(batch)
                append(journal, storage, batch)
                if luck.random() < 0.1:
                    ship(folder, log)
            journal.close()
        answered.update(storage.answered_before(len(storage.events)))
        powered_again(folder, storage, len(storage.events), luck)
    ReplicatedJournal.open(folder, WRITER, copies.url).close()
    ship(folder, log)
    kept = logged(log)
    assert len(kept) == len(set(kept)) == number and answered == set(kept)
    shutil.rmtree(root)


def test_process_loses_what_the_system_had_not_written_yet(tmp_path: Path) -> None:
    """The documented difference: nothing of this level is synced, so a cut may take all of it. It is never in there twice, and the journal goes on."""
    storage = CuttableStorage()
    journal = Journal.open(tmp_path / "journal", WRITER, 4000, storage)
    for number in range(40):
        append(journal, storage, decisions(number))
    journal.close()
    lost = []
    for seed in range(20):
        folder, log = tmp_path / f"journal-{seed}", tmp_path / f"log-{seed}"
        shutil.copytree(tmp_path / "journal", folder)
        powered_again(folder, storage, len(storage.events), Random(seed))
        kept = carry_on_and_ship(folder, log, decisions(1000))
        assert len(kept) == len(set(kept)) and "id-1000" in kept
        lost.append(len(set(storage.answered_before(len(storage.events))) - set(kept)))
    assert min(lost) > 0


def test_records_that_a_cut_took_are_written_down_and_the_rest_is_shipped(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal", WRITER, 400)
    for number in range(6):
        journal.write(decisions(number))
    journal.close()
    [first, second, *_] = [path for _, path in segments(tmp_path / "journal")]
    first.write_bytes(first.read_bytes()[:-100])
    second.write_bytes(bytes(second.stat().st_size))  # the size survived, the content did not
    kept = carry_on_and_ship(tmp_path / "journal", tmp_path / "log", decisions(9))
    [loss] = read_losses(tmp_path / "journal")
    assert loss.first + loss.count == 4 and kept == [f"id-{number}" for number in (*range(loss.first), 4, 5, 9)]
    assert [path.stem for path in (tmp_path / "journal").glob("*.damaged")] == [first.stem]  # for whoever looks into it; the other holds nothing


def test_a_failed_sync_is_a_loss_and_its_records_are_synced_again_elsewhere(tmp_path: Path) -> None:
    calls: list[str] = []

    def first_sync(call: str) -> bool:
        calls.append(call)
        return call == "sync" and calls.count("sync") == 1

    storage = CuttableStorage(first_sync)
    journal = DiskJournal.open(tmp_path / "journal", WRITER, storage=storage)
    append(journal, storage, decisions(0, 1))
    append(journal, storage, decisions(2))
    journal.close()
    names = [path.name.split(".")[1] for name, path, _, _ in storage.events if name in ("failed", "sync")]
    assert names == ["00000001", "00000002", "00000002"]  # the segment whose sync failed is never synced, nor written, again
    assert storage.answered_before(len(storage.events)) == ["id-0", "id-1", "id-2"]
    ship(tmp_path / "journal", tmp_path / "log")
    assert logged(tmp_path / "log") == ["id-0", "id-1", "id-2"]


def test_a_disk_that_fails_twice_refuses_and_what_follows_is_shipped_once(tmp_path: Path) -> None:
    broken = True
    storage = CuttableStorage(lambda call: broken and call == "sync")
    journal = DiskJournal.open(tmp_path / "journal", WRITER, storage=storage)
    refused: list[StateError | None] = []
    for number in range(3):
        journal.append(decisions(number), refused.append)
        ship(tmp_path / "journal", tmp_path / "log")  # it may see what was written, and refused
    assert all(error is not None and "cannot be written (Input/output error)" in error.message for error in refused)
    broken = False
    append(journal, storage, decisions(10, 11))
    journal.close()
    ship(tmp_path / "journal", tmp_path / "log")
    kept = logged(tmp_path / "log")
    assert len(kept) == len(set(kept)) and {"id-10", "id-11"} <= set(kept)
