"""What only the log on SQLite can get wrong: its file."""

import stat
from pathlib import Path

import pytest

from presage.errors import StateError
from presage.events.embedded import EmbeddedEventLog


def test_its_files_are_the_owners_alone(tmp_path: Path) -> None:
    log = EmbeddedEventLog(tmp_path / "events" / "telemetry.db", partitions=1)
    log.append([("a", b"x")])
    files = list((tmp_path / "events").iterdir())
    assert len(files) == 3
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    log.close()


def test_a_full_disk_is_one_sentence_and_changes_nothing(tmp_path: Path) -> None:
    log = EmbeddedEventLog(tmp_path / "telemetry.db", partitions=1)
    log.append([("a", b"kept")])
    log._connection.execute("PRAGMA max_page_count=20")  # SQLite's own "disk full"
    with pytest.raises(StateError, match="no space left on the device"):
        log.append([("a", bytes(4000)) for _ in range(50)])
    assert [event.value for event in log.read(0, 0)] == [b"kept"]
    log.close()


def test_a_foreign_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "telemetry.db").write_text("not a database, but long enough to be looked at as if it were one " * 10)
    with pytest.raises(StateError, match=r"telemetry\.db: not a sound SQLite file"):
        EmbeddedEventLog(tmp_path / "telemetry.db", partitions=1)
