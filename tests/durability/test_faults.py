"""What each level loses when the power goes, when a Pod goes with its volume, when the disk is full or gone, when the clock jumps."""

import asyncio
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from builders.journals import DAY, NOON, WRITER, decision, journalled, logged
from builders.serving_load import ask_until, kill_pod, serving

from benchmarks.replica_process import Replica
from benchmarks.serving_levels import LEVELS, Level
from benchmarks.serving_release import NEWCOMER, Site
from inference.journal.levels import open_journal
from inference.journal.ship import ship

Volume = Callable[..., Path]
_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN; with 2 the file system stops at once and flushes nothing, as if the power had gone."""


def cut_power(place: Path) -> None:
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", 2))
    finally:
        os.close(folder)


def power_again(place: Path) -> None:
    subprocess.run(["umount", str(place)], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", f"{place}.image", str(place)], check=True, capture_output=True)


def lost_by_power(site: Site, tmp_path: Path, volume: Volume, replica: Replica | None, cuts: int) -> tuple[int, int]:
    """Answered predictions, and those of them that the prediction log has not after the power went `cuts` times under load."""
    place = volume("power", 96, "ext4")
    answered: list[str] = []
    for cut in range(cuts):
        server = serving(site, place, replica, ship_seconds=0.1 if cut % 2 else 3600)

        def act(so_far: list[str]) -> None:  # what "leaves" after the power went is no answer, even where the system says that it was synced
            answered.extend(so_far)
            cut_power(place)

        asyncio.run(ask_until(server.address, 300 + 200 * cut, act))
        server.process.send_signal(signal.SIGKILL)
        server.wait()
        wait_for_children(place)
        power_again(place)
    last = serving(site, place, replica)
    answered += [one["prediction_id"] for one in httpx2.post(last.address + "/predict", json={"servers": [NEWCOMER]}).json()["predictions"]]
    assert last.stop() == 0
    kept = logged(last.prediction_log)
    assert len(kept) == len(set(kept)), "a record was applied twice"
    lost = len(set(answered) - set(kept))
    print(f"{site.model_dir.parent.name}: {cuts} losses of power, {len(answered)} predictions answered, {lost} lost")  # pytest -s shows it
    return len(answered), lost


def wait_for_children(place: Path) -> None:
    """Until no process has the file system open (the shipper that the dead server left)."""
    while any(link.startswith(f"{place}/") for link in open_files()):
        pass


def open_files() -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            found += [str(path.readlink()) for path in folder.iterdir()]
        except OSError:  # it has ended
            continue
    return found


@pytest.mark.parametrize("level", ["disk", "replicated"])
def test_loss_of_power_takes_nothing_that_was_answered(level: Level, sites: dict[str, Site], tmp_path: Path, volume: Volume, replica: Replica) -> None:
    answered, lost = lost_by_power(sites[level], tmp_path, volume, replica if level == "replicated" else None, cuts=3)
    assert answered > 900 and lost == 0


def test_loss_of_power_takes_what_process_had_not_shipped(sites: dict[str, Site], tmp_path: Path, volume: Volume) -> None:
    answered, lost = lost_by_power(sites["process"], tmp_path, volume, None, cuts=1)
    assert 0 < lost <= answered


@pytest.mark.parametrize("level", LEVELS)
def test_a_pod_that_goes_with_its_volume(level: Level, sites: dict[str, Site], tmp_path: Path, replica: Replica) -> None:
    """process and disk lose what was not shipped; replicated loses nothing."""
    server = serving(sites[level], tmp_path, replica if level == "replicated" else None, ship_seconds=0.5)
    answered = asyncio.run(ask_until(server.address, 2000, lambda _: kill_pod(server)))
    server.wait()
    identity = (server.journal / "journal.id").read_text()
    in_time = set(logged(server.prediction_log))
    shutil.rmtree(server.journal)
    kept = logged(server.prediction_log)
    lost = set(answered) - set(kept)
    assert len(kept) == len(set(kept))
    print(f"{level}: a Pod and its volume gone, {len(answered)} predictions answered, {len(lost)} not shipped yet")
    if level != "replicated":
        assert lost
        return
    command = [sys.executable, "-m", "inference.journal.restore", replica.url]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert identity in listed and "incident:" in listed
    more = ["--journal", identity, "--into", str(tmp_path / "restored"), "--ship", str(server.prediction_log)]
    subprocess.run([*command, *more], check=True, capture_output=True)
    kept = logged(server.prediction_log)
    assert not set(answered) - set(kept) and len(kept) == len(set(kept))
    assert in_time <= set(kept)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.parametrize("level", LEVELS)
def test_a_full_disk_refuses_and_what_was_answered_is_there(level: Level, sites: dict[str, Site], tmp_path: Path, volume: Volume, replica: Replica) -> None:
    place = volume("full", 4, "tmpfs")
    log = tmp_path / "log"
    server = serving(sites[level], place, replica if level == "replicated" else None)
    ballast = place / "ballast"
    refused: list[int] = []
    answered = asyncio.run(ask_until(server.address, 100, lambda _: fill(ballast), refused))
    assert set(refused) == {503} and len(answered) >= 100
    assert httpx2.get(server.address + "/v2/health/live").status_code == 200
    ballast.unlink()
    again = httpx2.post(server.address + "/predict", json={"servers": [NEWCOMER]})
    assert again.status_code == 200
    answered += [one["prediction_id"] for one in again.json()["predictions"]]
    server.process.kill()
    server.wait()
    ship(server.journal, log)
    kept = [*logged(log), *logged(server.prediction_log)]  # its own shipper may have come first
    assert set(answered) <= set(kept) and len(kept) == len(set(kept))


def fill(ballast: Path) -> None:
    """To the last byte."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


@pytest.mark.parametrize("level", ["disk", "replicated"])
def test_sigterm_under_load_answers_ships_everything_and_ends_with_zero(level: Level, sites: dict[str, Site], tmp_path: Path, replica: Replica) -> None:
    server = serving(sites[level], tmp_path, replica if level == "replicated" else None)
    answered = asyncio.run(ask_until(server.address, 200, lambda _: server.process.terminate()))
    assert server.wait() == 0
    kept = logged(server.prediction_log)
    assert len(answered) >= 200 and set(answered) <= set(kept) and len(kept) == len(set(kept))
    if level == "replicated":  # at zero lag: the copies are forgotten
        listed = subprocess.run([sys.executable, "-m", "inference.journal.restore", replica.url], capture_output=True, text=True, check=True)
        assert listed.stdout == ""


def test_a_disk_that_is_gone_gives_503_and_no_answer(sites: dict[str, Site], volume: Volume, tmp_path: Path) -> None:
    place = volume("gone", 64, "ext4")
    server = serving(sites["disk"], place)
    assert httpx2.post(server.address + "/predict", json={"servers": [NEWCOMER]}).status_code == 200
    before = journalled(server.journal)
    cut_power(place)
    refused = [httpx2.post(server.address + "/predict", json={"servers": [NEWCOMER]}) for _ in range(3)]
    assert {response.status_code for response in refused} == {503} and "cannot be recorded" in refused[0].json()["error"]
    assert len(before) == 1
    server.stop(signal.SIGKILL)
    wait_for_children(place)


def test_a_replica_that_dies_refuses_at_once_and_answers_go_on_when_it_is_back(sites: dict[str, Site], tmp_path: Path, replica: Replica) -> None:
    with serving(sites["replicated"], tmp_path, replica) as server, httpx2.Client(base_url=server.address, timeout=30) as client:

        def ask() -> httpx2.Response:
            return client.post("/predict", json={"servers": [NEWCOMER]})

        first = ask()
        replica.kill()
        refused = [ask() for _ in range(3)]
        assert {response.status_code for response in refused} == {503} and int(refused[0].headers["retry-after"]) >= 1
        replica.start()
        while (last := ask()).status_code != 200:
            pass
        answered = [response.json()["predictions"][0]["prediction_id"] for response in (first, last)]
    assert server.process.returncode == 0
    kept = logged(server.prediction_log)
    assert set(answered) <= set(kept) and len(kept) == len(set(kept))


@pytest.mark.parametrize("level", LEVELS)
def test_a_clock_that_jumps_moves_records_to_other_days_and_loses_none(
    level: Level, sites: dict[str, Site], tmp_path: Path, replica: Replica
) -> None:  # fmt: skip
    """Order and place in the journal are ordinals; no clock decides what is shipped."""
    journal = open_journal(level, tmp_path / "journal", WRITER, replica=replica.url, environment={})
    for number, jump in enumerate((0.0, 3600.0, -3600.0, DAY, -2 * DAY, 0.0)):
        journal.append([decision(number, NOON + jump)], lambda error: None)
        if number % 2:
            ship(tmp_path / "journal", tmp_path / "log")
    journal.close()
    ship(tmp_path / "journal", tmp_path / "log")
    assert sorted(logged(tmp_path / "log")) == [f"id-{number}" for number in range(6)]
