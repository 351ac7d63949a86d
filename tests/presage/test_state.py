"""The state directory is private and refused where it cannot be ours."""

import stat
from pathlib import Path

import pytest

from presage.errors import StateError
from presage.state import State


def test_the_state_directory_and_its_folders_are_private(tmp_path: Path):
    state = State.open(tmp_path / "state")
    for folder in (state.root, state.runs, state.keys, state.plane):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_a_state_directory_left_open_is_closed_again(tmp_path: Path):
    (tmp_path / "state").mkdir(mode=0o755)
    assert stat.S_IMODE(State.open(tmp_path / "state").root.stat().st_mode) == 0o700


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match=r"state cannot hold the state.*--state"):
        State.open(tmp_path / "state")
