"""SIGKILL under load, at every level: each prediction that was answered is in the prediction log exactly once."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.journals import logged
from builders.serving_load import ask_until, serving, ship_by_hand

from benchmarks.replica_process import Replica
from benchmarks.serving_levels import LEVELS, Level
from benchmarks.serving_release import Site

FEW, MANY = 7, 200
"""Kills of one journal: in every run (21 of them over the three levels), and in the slow lane."""


def kills(site: Site, folder: Path, count: int, replica: Replica | None) -> tuple[int, int]:
    """Kill `count` servers in turn, all on one journal, some in the middle of shipping. How many predictions were answered, and how many records
    were kept of predictions whose answer did not arrive."""
    luck = random.Random(count)
    answered: list[str] = []
    for _ in range(count):
        server = serving(site, folder, replica, ship_seconds=luck.choice([0.05, 3600]))
        answered += asyncio.run(ask_until(server.address, luck.randint(1, 400), lambda _, server=server: server.process.kill()))
        assert server.wait() == -signal.SIGKILL
        if replica is not None and luck.random() < 0.2:
            replica.kill()
            replica.start()
    ship_by_hand(server)
    kept = logged(server.prediction_log)
    assert len(kept) == len(set(kept)), "a record was applied twice"
    assert len(answered) == len(set(answered)) and not set(answered) - set(kept), "an answered prediction was lost"
    return len(answered), len(kept) - len(answered)


@pytest.fixture
def replica_of(tmp_path: Path) -> Iterator[dict[str, Replica | None]]:
    with Replica(tmp_path / "replica") as running:
        yield {"process": None, "disk": None, "replicated": running}


@pytest.mark.parametrize("level", LEVELS)
def test_killed_servers_lose_nothing_that_was_answered(
    level: Level, sites: dict[str, Site], tmp_path: Path, replica_of: dict[str, Replica | None]
) -> None:  # fmt: skip
    answered, _ = kills(sites[level], tmp_path, FEW, replica_of[level])
    assert answered > FEW


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("level", LEVELS)
def test_two_hundred_killed_servers_lose_nothing_that_was_answered(
    level: Level, sites: dict[str, Site], tmp_path: Path, replica_of: dict[str, Replica | None], capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    count = int(os.environ.get("PRESAGE_KILLS", MANY))
    answered, unheard = kills(sites[level], tmp_path, count, replica_of[level])
    with capsys.disabled():
        print(f"\n{level}: {count} kills, {answered} predictions answered, 0 lost, 0 twice; {unheard} recorded whose answer did not arrive")
