"""What several rooms' tests share: a small real release and a small real run, each made once however many processes run the tests."""

import fcntl
import os

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is: no test is timed.
settings.register_profile("presage", deadline=None)
settings.load_profile("presage")

TRAINED = ("tests/e2e/", "tests/lineage/", "tests/plane/")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What stands on the trained run is long (before lanes are chosen by their marks), and the longest chain: it starts first."""
    for item in items:
        if item.nodeid.startswith(TRAINED):
            item.add_marker(pytest.mark.long)
    items.sort(key=lambda item: not item.nodeid.startswith(TRAINED))


def pytest_xdist_make_scheduler(config, log):
    """What stands on the trained run, and on the one plane over it, goes to one worker, so that the other never waits for them; the rest goes by
    file, so that a module's fixtures are made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByRun(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "trained" if nodeid.startswith(TRAINED) else nodeid.split("::", 1)[0]

    return ByRun(config, log)


@pytest.fixture(scope="session")
def serving_site(tmp_path_factory, worker_id):
    """See benchmarks/serving_release.py: a release that the gate admitted, with detectors, and a filled online store."""
    from benchmarks.serving_release import build_site, open_site

    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "serving-site"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return open_site(root) if (root / "rows.npy").exists() else build_site(root)


@pytest.fixture(scope="module")
def server(serving_site, tmp_path_factory):
    """One server process for the tests of a module that only ask it questions."""
    from benchmarks.serving_process import ServerProcess

    with ServerProcess(serving_site, tmp_path_factory.mktemp("server"), "--ship_seconds=0.2", "--patience_seconds=1") as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    import httpx2

    with httpx2.Client(base_url=server.address, timeout=30) as opened:
        yield opened


@pytest.fixture(scope="session")
def trained_state(tmp_path_factory, worker_id):
    """A State with one finished run of the whole pipeline over a small simulated fleet (builders.runs); read it, never write to it.

    PRESAGE_TRAINED_STATE names one that an earlier `train_small` left, for whoever runs one test again and again.
    """
    from builders.runs import train_small

    from presage.state import State

    if given := os.environ.get("PRESAGE_TRAINED_STATE"):
        return State.open(given)
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "trained-state"
    root.mkdir(mode=0o700, exist_ok=True)
    with (root.parent / "trained-state.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(root.glob("runs/*/result.json")):
            train_small(root)
    return State.open(root)
