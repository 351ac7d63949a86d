"""Files are whole or absent, private, and a full disk is said in a sentence."""

import errno
import os
import stat
from pathlib import Path

import pytest

from presage.errors import InputError, StateError
from presage.files import canonical_json, write_bytes, write_json, written_aside


def test_a_failed_write_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path):
    target = tmp_path / "report.json"
    write_bytes(target, b"old")
    with pytest.raises(ValueError, match="stop"), written_aside(target) as aside:
        aside.write_bytes(b"half")
        raise ValueError("stop")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path):
    target = tmp_path / "artifact"
    for generation in ("first", "second"):
        with written_aside(target) as aside:
            aside.mkdir()
            (aside / generation).write_text("x")
    assert [path.name for path in target.iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_a_file_does_not_replace_a_folder_nor_anything_a_device(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"folder is a folder\. Name a file\."):
        write_bytes(tmp_path / "folder", b"x")
    with pytest.raises(InputError, match=r"pipe is neither a file nor a folder\."):
        write_bytes(tmp_path / "pipe", b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_files_are_readable_by_their_owner_only(tmp_path: Path):
    write_json(tmp_path / "a.json", {"a": 1})
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600


def test_a_full_disk_names_the_path_and_the_remedy(tmp_path: Path):
    with pytest.raises(StateError, match=r"table\.parquet: no space left.*Free some space"), written_aside(tmp_path / "table.parquet"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_canonical_json_is_one_byte_string_whatever_the_order():
    assert canonical_json({"b": 1, "a": [1, 2]}) == canonical_json({"a": [1, 2], "b": 1}) == b'{"a":[1,2],"b":1}'
