"""A log of a dozen entries, and copies of it to do things to."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders.audit_logs import filled

from presage.governance.audit import AuditLog


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> AuditLog:
    """Nobody changes it."""
    return filled(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def fresh() -> Iterator[Callable[[], Path]]:
    """Makes empty folders, in memory where there is a file system for that: hundreds of logs are written here, and none is asked about its disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="presage-audit-", dir=memory if os.access(memory, os.W_OK) else None) as base:
        yield lambda: Path(tempfile.mkdtemp(dir=base))


@pytest.fixture(scope="session")
def copied(whole, fresh) -> Callable[[], AuditLog]:
    """A copy of it, by the same key."""

    def copy() -> AuditLog:
        root = fresh()
        shutil.copytree(whole.folder.parent, root, dirs_exist_ok=True)
        return AuditLog(root / "audit", whole.key)

    return copy
