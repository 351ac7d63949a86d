"""A folder as storage: whole files, no links, no lost update."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from presage.storage.folder import Folder
from presage.storage.storage import Changed, Unreadable


def count_up(folder: Folder) -> None:
    while True:
        before = folder.current("count", 100)
        try:
            return folder.replace("count", str(int(before.content) + 1 if before else 1).encode(), before)
        except Changed:
            continue


def test_of_many_writers_none_overwrites_another(tmp_path):
    folder = Folder(tmp_path / "store")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: count_up(folder), range(40)))
    assert folder.read("count", 10) == b"40"


def test_only_what_was_read_is_replaced(tmp_path):
    folder = Folder(tmp_path)
    folder.replace("index.json", b"1", None)
    before = folder.current("index.json", 10)
    folder.replace("index.json", b"2", before)
    for stale in (before, None):
        with pytest.raises(Changed):
            folder.replace("index.json", b"3", stale)
    assert folder.read("index.json", 10) == b"2"


def test_a_link_a_folder_and_a_pipe_are_not_read(tmp_path):
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "store" / "folder").mkdir()
    os.mkfifo(tmp_path / "store" / "pipe")
    folder = Folder(tmp_path / "store")
    for key in ("link", "folder", "pipe", "absent"):
        with pytest.raises(Unreadable):
            folder.read(key, 100)
        assert not folder.holds(key, 6)


def test_no_more_than_asked_for_is_read(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 1000)
    assert len(Folder(tmp_path).read("large", 10)) == 11


def test_what_is_written_is_its_owners_alone(tmp_path):
    Folder(tmp_path / "store").write("blobs/one", b"1")
    assert (tmp_path / "store" / "blobs" / "one").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
