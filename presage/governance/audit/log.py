"""Appending to the log, by several processes at once.

    audit/entries.jsonl              one entry a line
    audit/tree.json                  the signed head (presage.governance.audit.head)
    audit/checkpoints/0000001234     signed notes, by size
    audit/aside/0000001234-ab12…     what a killed process had begun to write after so many entries

An append is acknowledged when its line and then a head over it are on the disk. What lies behind the head was told to nobody: the next append sets
it aside, so that nothing gets a signature that was not written through here.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from presage.errors import PresageError, StateError
from presage.files import sha256_bytes, write_bytes
from presage.governance.audit.checkpoints import Checkpoint
from presage.governance.audit.durable import made_folder, synced_folder
from presage.governance.audit.entries import FIRST, LONGEST, Entry, Fact, digest_of, entry
from presage.governance.audit.head import NAME as HEAD
from presage.governance.audit.head import Head, read_head
from presage.governance.audit.keys import AuditKey
from presage.governance.audit.reading import ENTRIES, read_entries, read_part, unacknowledged
from presage.package.locks import locked

CHECKPOINTS, ASIDE = "checkpoints", "aside"
EVERY = 256
"""Entries between two checkpoints that are made by themselves."""
_VERIFY = "Run `presage audit verify`: it says what was done to the log, and how to mend it"


@dataclass(frozen=True)
class AuditLog:
    """folder: of the log; key: signs its checkpoints."""

    folder: Path
    key: AuditKey

    @classmethod
    def open(cls, folder: Path, key: AuditKey | None = None) -> "AuditLog":
        """key: default that of the state directory around it (`../keys/audit.key`). Raises StateError."""
        try:
            made_folder(folder)
        except OSError as error:
            raise StateError(f"{folder} cannot be made ({error.strerror}). Name a folder of yours with --state.") from None
        return cls(folder, key or AuditKey.open(folder.parent / "keys"))

    @property
    def entries_path(self) -> Path:
        return self.folder / ENTRIES

    def append(self, kind: str, subject: str, facts: Mapping[str, Fact], *, at: datetime) -> Entry:
        """Add one, durably. Raises InputError where it cannot be an entry, StateError where the log cannot be written or was tampered with."""
        with _written(self.entries_path), locked(self.folder):
            return self.add_to(self._head(), kind, subject, facts, at)

    def add_to(self, head: Head, kind: str, subject: str, facts: Mapping[str, Fact], at: datetime) -> Entry:
        """Write one entry behind `head`, and the head over it. The caller holds the lock, and knows that `head` is the log's."""
        made = entry(head.tree.size, at, kind, subject, facts, head.last)
        line = made.line()
        after = head.followed_by(line).signed(self.key)
        self._write(line + b"\n", head.length)
        try:
            write_bytes(self.folder / HEAD, after)
        except (OSError, PresageError):
            os.truncate(self.entries_path, head.length)  # nobody is told of it, so it is not there
            raise
        synced_folder(self.folder)
        return made

    def checkpoint(self) -> Checkpoint:
        """Sign what there is now."""
        with _written(self.folder / CHECKPOINTS), locked(self.folder):
            head = self._head()
            self._keep(head.checkpoint)
            return head.checkpoint

    def entries(self) -> Iterator[Entry]:
        """Every entry, in order. Raises StateError at one that is none; whether they are genuine is verify_log's question."""
        return read_entries(self.folder)

    def _head(self) -> Head:
        """The head, held against the file's end; what lies behind it is set aside. Raises StateError where the two do not go together."""
        path, content = self.entries_path, read_head(self.folder)
        size = path.stat().st_size if path.is_file() else 0
        if content is None and size:
            raise StateError(f"{self.folder / HEAD} is gone, and {ENTRIES} is there. {_VERIFY}.")
        if content is None:  # from now on a head that is missing was removed
            content = Head().signed(self.key)
            write_bytes(self.folder / HEAD, content)
            synced_folder(self.folder)
        try:
            head = Head.parse(content, self.key.public, str(self.folder / HEAD))
        except StateError as error:
            raise StateError(f"{error.message}. {_VERIFY}.") from None
        if size < head.length:
            raise StateError(f"{path} has {size} bytes, and had {head.length}: its tail was cut. {_VERIFY}.")
        if _last_digest(path, head.length) != head.last:
            raise StateError(f"{path}: entry {head.tree.size - 1} is not the one that was signed. {_VERIFY}.")
        if size > head.length:
            self._set_aside(head, size)
        if head.tree.size and head.tree.size % EVERY == 0:
            self._keep(head.checkpoint)
        return head

    def _set_aside(self, head: Head, size: int) -> None:
        rest = read_part(self.entries_path, head.length, min(size - head.length, LONGEST + 2))
        if unacknowledged(rest) is None:
            raise StateError(f"{self.entries_path}: {head.tree.size} entries are signed, and more than one lies behind them. {_VERIFY}.")
        folder = self.folder / ASIDE
        made_folder(folder)
        write_bytes(folder / f"{head.tree.size:010}-{sha256_bytes(rest)[:16]}", rest)
        synced_folder(folder)
        os.truncate(self.entries_path, head.length)
        _clear(self.folder)

    def _keep(self, checkpoint: Checkpoint) -> None:
        """The checkpoint in its file; once, and never another of that size."""
        path, note = self.folder / CHECKPOINTS / f"{checkpoint.size:010}", self.key.sign(checkpoint)
        if path.is_file():
            if path.read_bytes() != note:
                raise StateError(f"{path} is not the checkpoint of the log's first {checkpoint.size} entries. {_VERIFY}.")
            return
        made_folder(path.parent)
        _clear(path.parent)
        write_bytes(path, note)
        synced_folder(path.parent)

    def _write(self, content: bytes, length: int) -> None:
        new = not self.entries_path.exists()
        descriptor = os.open(self.entries_path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, length)
            if os.pwrite(descriptor, content, length) != len(content):
                os.ftruncate(descriptor, length)
                raise StateError(f"{self.entries_path}: no space left on the device. Free some space: what is not in the audit log is not done.")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            synced_folder(self.folder)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """A failing disk, told as such."""
    try:
        yield
    except OSError as error:
        raise StateError(f"{path}: the audit log cannot be written ({error.strerror}). Mend that: what is not in it is not done.") from None


def _last_digest(path: Path, length: int) -> str:
    if not length:
        return FIRST
    begin = max(0, length - LONGEST - 2)
    ended = read_part(path, begin, length - begin)
    return digest_of(ended[:-1].rpartition(b"\n")[2]) if ended.endswith(b"\n") else ""


def _clear(folder: Path) -> None:
    """What killed processes left of files that they were writing aside."""
    import shutil

    for path in folder.glob(".*"):
        shutil.rmtree(path, ignore_errors=True)
