"""What several rooms' tests share: one small real release, built once a test run however many processes run it."""

import fcntl

import pytest


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
