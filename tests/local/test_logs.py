"""Logs are read by name, followed, and survive being emptied."""

import os

import pytest

from presage.errors import UsageError
from presage.local.logs import follow, last_lines, log_path
from presage.state import State


@pytest.fixture
def log(tmp_path):
    state = State.open(tmp_path)
    (state.plane / "logs").mkdir()
    path = state.plane / "logs" / "web.log"
    path.write_text("one\ntwo\nthree\n")
    return state, path


def test_a_log_is_found_by_name_and_an_unknown_one_says_which_there_are(log):
    state, path = log
    assert log_path(state, "web") == path
    with pytest.raises(UsageError, match="There is web"):
        log_path(state, "../web")


def test_the_last_lines_are_whole(log):
    assert (last_lines(log[1], 2), last_lines(log[1], 0)) == ("two\nthree\n", "")


def test_following_gives_what_is_new_and_starts_over_once_emptied(log):
    path = log[1]
    written = follow(path, 1, period=0.01)
    assert next(written) == "three\n"
    append(path, "four\n")
    assert next(written) == "four\n"
    os.truncate(path, 0)
    append(path, "again\n")
    assert next(written) == "again\n"


def append(path, text):
    with path.open("a") as handle:
        handle.write(text)
