"""The small real release (tests/conftest.py) at every level of the journal, replicas, and file systems of their own."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.replica_process import Replica
from benchmarks.serving_levels import LEVELS, site_at
from benchmarks.serving_release import Site


@pytest.fixture(scope="session")
def sites(serving_site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Site]:
    """By level: the same packages, composed by a policy that asks for it."""
    return {level: site_at(level, serving_site, tmp_path_factory.mktemp(f"site-{level}")) for level in LEVELS}


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    with Replica(tmp_path / "replica") as running:
        yield running


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes file systems of their own: volume("name", megabytes, kind) → where it is mounted; kind: tmpfs, or ext4 on a file."""
    mounted: list[Path] = []

    def mount(name: str, megabytes: int, kind: str) -> Path:
        place = tmp_path / name
        place.mkdir()
        if os.geteuid() != 0:
            pytest.skip(f"mounting a {kind} of its own needs root")
        if kind == "tmpfs":
            command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
        else:
            if shutil.which("mkfs.ext4") is None:
                pytest.skip("mkfs.ext4 is not here")
            image = tmp_path / f"{name}.image"
            with image.open("wb") as file:
                file.truncate(megabytes << 20)
            subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
            command = ["mount", "-o", "loop", str(image), str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a {kind} of its own cannot be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in reversed(mounted):
        if subprocess.run(["umount", str(place)], check=False, capture_output=True).returncode:  # a test that failed left a server in it
            subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


def pytest_collection_modifyitems(items):
    """All of this folder is a lane of its own: `make test-durability`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.durability)
